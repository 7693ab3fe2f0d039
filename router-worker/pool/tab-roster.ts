import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { ONE_TIME_KEY_BATCH, ONE_TIME_KEY_LOW_WATER, RECONNECT_GRACE_MS } from '../../shared/limits.ts';
import { tabKey } from '../../shared/protocol/lease.ts';
import {
  CLOSE,
  encodeMessage,
  helloClaim,
  type ReadyModel,
  type RouterToTab,
  type TabToRouter,
} from '../../shared/protocol/tab-socket.ts';
import { PROTOCOL_VERSION } from '../../shared/protocol/version.ts';
import { isSealingKey } from '../../shared/sealing/sealing-key.ts';
import { openStatement, parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';
import type { Seat } from '../allocation/allocator.ts';
import { RestingTabs } from './resting-tabs.ts';
import {
  attachmentOf,
  countryOfTab,
  type NamedTab,
  type Tab,
  type TabAttachment,
  type TabSocket,
  tabFrom,
} from './tab.ts';

export interface Census {
  readonly class: string;
  readonly tabs: number;
  readonly free: number;
  /** Tabs that only check. */
  readonly checkers: number;
}

/** Tabs that serve the same classes: so each is counted once, whatever is asked. */
export interface TabKind {
  /** In their order. */
  readonly classes: readonly string[];
  readonly tabs: number;
  readonly free: number;
  /** Tabs that only check. */
  readonly checkers: number;
}

/** Tabs that serve any of these classes, each once. */
export function tabsServing(
  kinds: readonly TabKind[],
  classes: readonly string[],
): Pick<TabKind, 'tabs' | 'free' | 'checkers'> {
  const serving = kinds.filter((kind) => kind.classes.some((id) => classes.includes(id)));
  const sum = (figure: 'tabs' | 'free' | 'checkers') => serving.reduce((total, kind) => total + kind[figure], 0);
  return { tabs: sum('tabs'), free: sum('free'), checkers: sum('checkers') };
}

/** A key to seal to, as a tab signed it. */
export interface TakenKey {
  readonly statement: Signed;
  readonly sealTo: string;
  readonly oneTime: boolean;
}

/** Longest statement of a key, characters. The standing one is kept with the socket, where space is short. */
const MAX_KEY_STATEMENT = 512;
/** A socket that proves no identity in this time is closed, ms. */
const GREETING_DEADLINE_MS = 10_000;
/** Sockets that may be in their greeting at once; the oldest gives way. */
const MAX_GREETINGS = 256;

interface Greeting {
  readonly nonce: string;
  readonly network: string;
  readonly named: NamedTab | null;
  readonly since: number;
}

/** Who is connected: greeting, proof of identity, keys, and what survives a dropped socket. */
export class TabRoster {
  readonly #routerKey: string;
  readonly #now: () => number;
  readonly #tabs = new Map<string, Tab>();
  readonly #tabOf = new Map<TabSocket, Tab>();
  readonly #greetings = new Map<TabSocket, Greeting>();
  readonly #refused = new WeakSet<TabSocket>();
  readonly #resting: RestingTabs;
  readonly #isGuard: (pass: string) => Promise<boolean>;
  readonly #claim: (identity: string) => Promise<boolean>;

  /** `claim`: fetches what other pools know of an identity that was proven; false where that cannot be had now. */
  constructor(
    routerKey: string,
    now: () => number,
    isGuard: (pass: string) => Promise<boolean>,
    claim: (identity: string) => Promise<boolean> = async () => true,
  ) {
    this.#claim = claim;
    this.#routerKey = routerKey;
    this.#now = now;
    this.#isGuard = isGuard;
    this.#resting = new RestingTabs(now);
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

  /** Tabs that answer, and may by their records: `rankOf` is null for one that may not. One that only checks is among them when it alone is meant. */
  seats(rankOf: (tab: Tab, classId: string) => number | null, only: string | null): Seat[] {
    const answering = this.connected().filter((tab) => !tab.checkOnly || tab.identity === only);
    return answering.flatMap((tab) =>
      tab.models.flatMap(({ class: id }) => {
        const rank = rankOf(tab, id);
        if (rank === null) return [];
        const isResting = this.isResting(tab);
        return [{ tab: tab.identity, class: id, load: tab.leases.size, rank, isResting, country: countryOfTab(tab) }];
      }),
    );
  }

  census(): Census[] {
    const counts = new Map<string, { tabs: number; free: number; checkers: number }>();
    for (const tab of this.connected()) {
      for (const { class: id } of tab.models) {
        const entry = counts.get(id) ?? { tabs: 0, free: 0, checkers: 0 };
        if (tab.checkOnly) entry.checkers++;
        else entry.tabs++;
        if (tab.leases.size === 0 && !tab.checkOnly) entry.free++;
        counts.set(id, entry);
      }
    }
    return [...counts].map(([id, entry]) => ({ class: id, ...entry }));
  }

  kinds(): TabKind[] {
    const byClasses = new Map<string, { classes: string[]; tabs: number; free: number; checkers: number }>();
    for (const tab of this.connected()) {
      if (tab.models.length === 0) continue;
      const classes = tab.models.map((model) => model.class).toSorted();
      const kind = byClasses.get(classes.join()) ?? { classes, tabs: 0, free: 0, checkers: 0 };
      if (tab.checkOnly) kind.checkers++;
      else kind.tabs++;
      if (tab.leases.size === 0 && !tab.checkOnly) kind.free++;
      byClasses.set(classes.join(), kind);
    }
    return [...byClasses.values()];
  }

  /** A new socket: it must prove an identity before anything else, and the one that it was opened for. */
  greet(socket: TabSocket, network: string, named: NamedTab | null): void {
    const nonce = toBase64Url(randomBytes(32));
    socket.remember({ state: 'greeting', nonce, network, ...(named !== null && { named }) });
    const [oldest] = this.#greetings.keys();
    if (oldest !== undefined && this.#greetings.size >= MAX_GREETINGS) this.#dropGreeting(oldest);
    this.#greetings.set(socket, { nonce, network, named, since: this.#now() });
    socket.send(encodeMessage({ t: 'challenge', v: PROTOCOL_VERSION, nonce, router: this.#routerKey }));
  }

  /** A socket that outlived the pool's memory. */
  restore(socket: TabSocket, attachment: TabAttachment): void {
    if (attachment.state === 'greeting') {
      this.#greetings.set(socket, { ...attachment, named: attachment.named ?? null, since: this.#now() });
      return;
    }
    const tab = tabFrom(attachment, [], socket);
    this.#tabs.set(tab.identity, tab);
    this.#tabOf.set(socket, tab);
    this.#wantKeys(tab);
  }

  /**
   * Verifies a hello and seats the tab. `before` is the same identity's earlier seat, whose socket is closed now; the caller decides about
   * its leases. Null when the socket went away meanwhile, or what is known of the tab cannot be had: then it is to come again. Throws what refuses the tab.
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
    if (greeting.named !== null && greeting.named.identity !== identity) {
      throw new ShoalError('invalid_value', 'The socket was opened in the name of another tab.', { param: 'tab' });
    }
    const keys = await openKeys(identity, hello.keys);
    const standingKey = keys.find((key) => !key.oneTime)?.statement;
    if (standingKey === undefined) throw new ShoalError('invalid_value', 'Hello lacks a standing sealing key.');
    const guard = hello.guard !== null && (await this.#isGuard(hello.guard));
    if (hello.guard !== null && !guard) throw new ShoalError('invalid_value', "The guard's pass is not this router's.");
    if (!(await this.#claim(identity))) {
      this.#dropGreeting(socket);
      return null;
    }
    if (!this.#greetings.delete(socket)) return null;

    const before = this.#tabs.get(identity) ?? null;
    const tab = tabFrom(
      {
        state: 'ready',
        identity,
        network: greeting.network,
        standingKey,
        models: oncePerClass(hello.models),
        direct: hello.direct,
        checkOnly: hello.checkOnly,
        guard,
        ...(greeting.named !== null && { homeKey: greeting.named.homeKey }),
        owner: before?.owner ?? null, // What is known of it until the ledger is heard.
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

  /** The same identity has its seat elsewhere now; the caller decides about its leases. Null where it had none here. */
  replaced(identity: string): Tab | null {
    const tab = this.#tabs.get(identity) ?? null;
    if (tab !== null) this.#unseat(tab);
    return tab;
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

  /** Whether a socket is to prove itself, or a tab to come back: both have deadlines. */
  get isExpecting(): boolean {
    if (this.#greetings.size > 0) return true;
    for (const tab of this.#tabs.values()) if (tab.socket === null) return true;
    return false;
  }

  /** Closes sockets that never said who they are. */
  dropSilent(): void {
    const at = this.#now();
    for (const [socket, { since }] of this.#greetings)
      if (at - since > GREETING_DEADLINE_MS) this.#dropGreeting(socket);
  }

  #dropGreeting(socket: TabSocket): void {
    this.#greetings.delete(socket);
    socket.close(CLOSE.late, 'late');
  }

  /** Nothing more is heard of this socket. Returns the tab that sat on it. */
  refuse(socket: TabSocket): Tab | null {
    this.#refused.add(socket);
    return this.lostSocket(socket);
  }

  isRefused(socket: TabSocket): boolean {
    return this.#refused.has(socket);
  }

  /** The tab missed a deadline: others go first for a while. */
  rest(tab: Tab): void {
    this.#resting.missed(tab.identity);
  }

  isResting(tab: Tab): boolean {
    return this.#resting.has(tab.identity);
  }

  /** The tab committed to an answer. */
  worked(tab: Tab): void {
    this.#resting.worked(tab.identity);
  }

  setReady(tab: Tab, ready: Extract<TabToRouter, { t: 'ready' }>): void {
    tab.models = oncePerClass(ready.models);
    tab.direct = ready.direct;
    tab.checkOnly = ready.checkOnly;
    this.remember(tab);
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

/** A tab that names a class twice serves it once. */
function oncePerClass(models: readonly ReadyModel[]): ReadyModel[] {
  return [...new Map(models.map((model) => [model.class, model])).values()];
}

async function openKeys(
  identity: string,
  statements: readonly Signed[],
): Promise<{ oneTime: boolean; statement: Signed }[]> {
  return Promise.all(
    statements.map(async (statement) => {
      if (statement.payload.length > MAX_KEY_STATEMENT) throw new ShoalError('invalid_value', 'A key is too long.');
      const { oneTime, key } = await openStatement('tab-key', tabKey, statement, identity);
      // A client would find out only when it seals, and could not know whose fault it is.
      if (!isSealingKey(key)) throw new ShoalError('invalid_value', 'A sealing key is not of the curve.');
      return { oneTime, statement };
    }),
  );
}
