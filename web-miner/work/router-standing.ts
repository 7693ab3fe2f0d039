import type { Bytes } from '../../shared/bytes.ts';
import { ONE_TIME_KEY_BATCH } from '../../shared/limits.ts';
import type { Connection } from '../../shared/peer/connection.ts';
import { CLOSE, encodeMessage, type RouterToTab, type TabToRouter } from '../../shared/protocol/tab-socket.ts';
import { PROTOCOL_VERSION } from '../../shared/protocol/version.ts';
import type { KeyRing } from '../identity/key-ring.ts';
import type { TabIdentity } from '../identity/tab-identity.ts';

type Ready = Omit<Extract<TabToRouter, { t: 'ready' }>, 't'>;

export interface StandingPorts {
  /** The connection; a function, because it may report before it is handed out. */
  socket(): Connection;
  readonly identity: TabIdentity;
  readonly keys: KeyRing;
  /** What this tab serves at the moment. */
  ready(): Ready;
  /** Numbers of the leases that this tab works on, or whose end the router may have missed; the most important first. */
  running(): readonly number[];
  /** The operator's pass for its guards; null for everyone else. */
  readonly guard: string | null;
}

/**
 * How a tab stands with its router: a stranger until it has proven its key to this connection, welcome after it. Before its welcome a tab may say
 * hello and nothing else; anything else closes the socket for good, so it is not sent.
 */
export class RouterStanding {
  readonly #ports: StandingPorts;
  /** Nonce of the challenge that this connection began with; null while there is no connection. */
  #challenge: string | null = null;
  #routerKey: string | null = null;
  /** The router's clock minus ours, ms. */
  #clockOffsetMs = 0;
  #tab: string | null = null;
  /** What the router was told last of models and links, as JSON. */
  #saidReady = '';

  constructor(ports: StandingPorts) {
    this.#ports = ports;
  }

  /** Identity that the router welcomed on this connection; null before. */
  get tab(): string | null {
    return this.#tab;
  }

  get routerKey(): string | null {
    return this.#routerKey;
  }

  /** Now by the router's clock, ms. */
  now(): number {
    return Date.now() + this.#clockOffsetMs;
  }

  lost(): void {
    this.#tab = null;
    this.#challenge = null;
  }

  async challenged(challenge: Extract<RouterToTab, { t: 'challenge' }>): Promise<void> {
    if (this.#routerKey !== null && this.#routerKey !== challenge.router) {
      // The key of a router does not change while a tab is connected to it, or the leases it holds could be anyone's.
      this.#ports.socket().close(CLOSE.protocol, 'the router changed its key');
      return;
    }
    this.#routerKey = challenge.router;
    this.#challenge = challenge.nonce;
    const { identity, keys: ring } = this.#ports;
    const claim = JSON.stringify({ v: 1, nonce: challenge.nonce, router: challenge.router });
    const proof = await identity.signer.sign('hello', claim);
    const keys = [await ring.standingStatement(), ...(await ring.issue(ONE_TIME_KEY_BATCH))];
    // Making keys takes a while. A hello that answers the challenge of a connection before this one is refused for good.
    if (this.#challenge !== challenge.nonce) return;
    const ready = this.#ports.ready();
    this.#saidReady = JSON.stringify(ready);
    const running = this.#ports.running().slice(0, MAX_RUNNING_NAMED);
    const { guard } = this.#ports;
    this.#ports
      .socket()
      .send(encodeMessage({ t: 'hello', v: PROTOCOL_VERSION, proof, keys, ...ready, guard, running }));
  }

  welcomed(welcome: Extract<RouterToTab, { t: 'welcome' }>): void {
    this.#tab = welcome.tab;
    this.#clockOffsetMs = welcome.now - Date.now();
    if (JSON.stringify(this.#ports.ready()) !== this.#saidReady) this.sayReady(); // It changed while the hello was on its way.
  }

  sayReady(): void {
    const ready = this.#ports.ready();
    if (this.#tab !== null) this.#saidReady = JSON.stringify(ready);
    this.say({ t: 'ready', ...ready });
  }

  say(message: TabToRouter): void {
    this.send(encodeMessage(message));
  }

  send(data: string | Bytes): void {
    if (this.#tab !== null) this.#ports.socket().send(data);
  }
}

/** Most leases that a hello may name. */
const MAX_RUNNING_NAMED = 64;
