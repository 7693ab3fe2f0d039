import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { ONE_TIME_KEY_BATCH, ONE_TIME_KEY_LOW_WATER, RECONNECT_GRACE_MS } from '../../shared/limits.ts';
import { tabKey } from '../../shared/protocol/lease.ts';
import {
  CLOSE,
  encodeMessage,
  helloClaim,
  type RouterToTab,
  type TabToRouter,
} from '../../shared/protocol/tab-socket.ts';
import { PROTOCOL_VERSION } from '../../shared/protocol/version.ts';
import { openStatement, parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';
import type { Candidate } from '../allocation/choose-tab.ts';
import { attachmentOf, type Tab, type TabAttachment, type TabSocket, tabFrom } from './tab.ts';

export interface Census {
  readonly class: string;
  readonly tabs: number;
  readonly free: number;
}

/** A key to seal to, as a tab signed it. */
export interface TakenKey {
  readonly statement: Signed;
  readonly sealTo: string;
  readonly oneTime: boolean;
}

/** Who is connected: greeting, proof of identity, keys, and what survives a dropped socket. */
export class TabRoster {
  readonly #routerKey: string;
  readonly #now: () => number;
  readonly #tabs = new Map<string, Tab>();
  readonly #tabOf = new Map<TabSocket, Tab>();
  readonly #greetings = new Map<TabSocket, { readonly nonce: string; readonly network: string }>();

  constructor(routerKey: string, now: () => number) {
    this.#routerKey = routerKey;
    this.#now = now;
  }

  get(identity: string): Tab | undefined {
    return this.#tabs.get(identity);
  }

  /** The tab behind a socket. Throws `invalid_value` before its hello. */
  of(socket: TabSocket): Tab {
    const tab = this.#tabOf.get(socket);
    if (tab === undefined) throw new ShoalError('invalid_value', 'The first message must be hello.');
    return tab;
  }

  connected(): Tab[] {
    return [...this.#tabs.values()].filter((tab) => tab.socket !== null);
  }

  candidates(): Candidate[] {
    return this.connected().flatMap((tab) =>
      tab.models.map(({ class: id, decodeSpeed }) => ({
        tab: tab.identity,
        class: id,
        load: tab.leases.size,
        decodeSpeed,
      })),
    );
  }

  census(): Census[] {
    const counts = new Map<string, { tabs: number; free: number }>();
    for (const tab of this.connected()) {
      for (const { class: id } of tab.models) {
        const entry = counts.get(id) ?? { tabs: 0, free: 0 };
        entry.tabs++;
        if (tab.leases.size === 0) entry.free++;
        counts.set(id, entry);
      }
    }
    return [...counts].map(([id, entry]) => ({ class: id, ...entry }));
  }

  /** A new socket: it must prove an identity before anything else. */
  greet(socket: TabSocket, network: string): void {
    const nonce = toBase64Url(randomBytes(32));
    socket.remember({ state: 'greeting', nonce, network });
    this.#greetings.set(socket, { nonce, network });
    socket.send(encodeMessage({ t: 'challenge', v: PROTOCOL_VERSION, nonce, router: this.#routerKey }));
  }

  /** A socket that outlived the pool's memory. */
  restore(socket: TabSocket, attachment: TabAttachment): void {
    if (attachment.state === 'greeting') {
      this.#greetings.set(socket, attachment);
      return;
    }
    const tab = tabFrom(attachment, [], socket);
    this.#tabs.set(tab.identity, tab);
    this.#tabOf.set(socket, tab);
    this.#wantKeys(tab);
  }

  /**
   * Verifies a hello and seats the tab. `before` is the same identity's earlier seat, whose socket is closed now; the caller decides about
   * its leases. Null when the socket went away meanwhile. Throws what refuses the tab.
   */
  async admit(
    socket: TabSocket,
    hello: Extract<TabToRouter, { t: 'hello' }>,
  ): Promise<{ readonly tab: Tab; readonly before: Tab | null } | null> {
    const greeting = this.#greetings.get(socket);
    if (greeting === undefined) throw new ShoalError('invalid_value', 'Hello may be said once.');
    if (hello.v !== PROTOCOL_VERSION) {
      throw new ShoalError('version_unsupported', `This router speaks version ${PROTOCOL_VERSION}.`);
    }
    const claim = await openStatement('hello', helloClaim, hello.proof, null);
    if (claim.nonce !== greeting.nonce || claim.router !== this.#routerKey) {
      throw new ShoalError('invalid_value', 'Hello answers another challenge.');
    }
    const identity = hello.proof.key;
    const keys = await openKeys(identity, hello.keys);
    const standingKey = keys.find((key) => !key.oneTime)?.statement;
    if (standingKey === undefined) throw new ShoalError('invalid_value', 'Hello lacks a standing sealing key.');
    if (!this.#greetings.delete(socket)) return null;

    const before = this.#tabs.get(identity) ?? null;
    const tab = tabFrom(
      {
        state: 'ready',
        identity,
        network: greeting.network,
        standingKey,
        models: hello.models,
        direct: hello.direct,
      },
      keys.filter((key) => key.oneTime).map((key) => key.statement),
      socket,
    );
    if (before !== null) {
      for (const partner of before.partners) tab.partners.add(partner);
      this.#unseat(before);
    }
    this.#tabs.set(identity, tab);
    this.#tabOf.set(socket, tab);
    this.remember(tab);
    return { tab, before };
  }

  #unseat(tab: Tab): void {
    const { socket } = tab;
    tab.socket = null;
    if (socket === null) return;
    this.#tabOf.delete(socket);
    socket.close(CLOSE.replaced, 'replaced');
  }

  /** The tab whose socket closed; null when it had none, or had been replaced. It stays seated until {@link remove}. */
  lostSocket(socket: TabSocket): Tab | null {
    this.#greetings.delete(socket);
    const tab = this.#tabOf.get(socket);
    this.#tabOf.delete(socket);
    if (tab === undefined || tab.socket !== socket) return null;
    tab.socket = null;
    tab.goneAt = this.#now();
    return tab;
  }

  /** Tabs whose socket has been gone for longer than a reconnect takes. */
  overdue(): Tab[] {
    const at = this.#now();
    return [...this.#tabs.values()].filter((tab) => tab.goneAt !== null && at - tab.goneAt > RECONNECT_GRACE_MS);
  }

  get hasMissing(): boolean {
    for (const tab of this.#tabs.values()) if (tab.socket === null) return true;
    return false;
  }

  remove(tab: Tab): void {
    if (this.#tabs.get(tab.identity) === tab) this.#tabs.delete(tab.identity);
  }

  /** Keeps with the socket what must survive hibernation. */
  remember(tab: Tab): void {
    tab.socket?.remember(attachmentOf(tab));
  }

  async addKeys(tab: Tab, statements: readonly Signed[]): Promise<void> {
    const keys = await openKeys(tab.identity, statements);
    tab.oneTimeKeys.push(...keys.filter((key) => key.oneTime).map((key) => key.statement));
    tab.oneTimeKeys.splice(0, Math.max(0, tab.oneTimeKeys.length - ONE_TIME_KEY_BATCH));
  }

  /** A one-time key while the tab has some, else its standing key, which gives no forward secrecy. */
  takeKey(tab: Tab): TakenKey {
    const statement = tab.oneTimeKeys.shift() ?? tab.standingKey;
    if (tab.oneTimeKeys.length < ONE_TIME_KEY_LOW_WATER) this.#wantKeys(tab);
    const { key, oneTime } = parsePayload('tab-key', tabKey, statement);
    return { statement, sealTo: key, oneTime };
  }

  #wantKeys(tab: Tab): void {
    this.send(tab, { t: 'keysWanted', count: ONE_TIME_KEY_BATCH - tab.oneTimeKeys.length });
  }

  /** `false` when the tab is not connected: nothing was sent. */
  send(tab: Tab | undefined, message: RouterToTab): boolean {
    return this.sendRaw(tab, encodeMessage(message));
  }

  sendRaw(tab: Tab | undefined, data: string | Uint8Array<ArrayBuffer>): boolean {
    if (tab === undefined || tab.socket === null) return false;
    try {
      tab.socket.send(data);
      return true;
    } catch {
      return false; // The close event that follows does the rest.
    }
  }
}

async function openKeys(
  identity: string,
  statements: readonly Signed[],
): Promise<{ oneTime: boolean; statement: Signed }[]> {
  return Promise.all(
    statements.map(async (statement) => {
      const { oneTime } = await openStatement('tab-key', tabKey, statement, identity);
      return { oneTime, statement };
    }),
  );
}
