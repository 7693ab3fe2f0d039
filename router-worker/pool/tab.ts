import type { Independence } from '../../shared/checking/draw.ts';
import type { ReadyModel } from '../../shared/protocol/tab-socket.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';

/** A tab's socket as the pool sees it. */
export interface TabSocket {
  /** The country that it came from, ISO 3166-1 alpha-2: kept with the socket, told to nobody. Left out, or null: not known. */
  readonly country?: string | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code: number, reason: string): void;
  /** Keeps what must survive hibernation, with the socket itself. */
  remember(attachment: TabAttachment): void;
}

/**
 * Stored with the hibernating socket (at most 16 KiB): fields may be added, never repurposed. One-time keys are left out, or every lease would
 * write them all again: a pool that lost its memory asks for fresh ones.
 */
export type TabAttachment =
  | {
      readonly state: 'greeting';
      readonly nonce: string;
      readonly network: string;
      /** The identity that the socket was opened for, and what its place is reckoned from; left out where it named none. */
      readonly named?: NamedTab;
    }
  | {
      readonly state: 'ready';
      readonly identity: string;
      readonly network: string;
      readonly standingKey: Signed;
      readonly models: readonly ReadyModel[];
      readonly direct: boolean;
      readonly checkOnly: boolean;
      /** Whether it proved to be a guard of the operator. */
      readonly guard: boolean;
      /** See {@link Tab.homeKey}; left out where the socket named nobody. */
      readonly homeKey?: string;
      /** The account that it is paired with, as far as the pool was told. Left out by earlier releases. */
      readonly owner?: string | null;
    };

/** Whom a socket was opened for, before that is proven. */
export interface NamedTab {
  readonly identity: string;
  readonly homeKey: string;
}

export type ReadyAttachment = Extract<TabAttachment, { state: 'ready' }>;

/** Tabs that one may hand subtasks on to over a link: more than it ever has links. */
export const MAX_PARTNERS = 64;

export interface Tab {
  readonly identity: string;
  /** Digest of the network prefix that the socket came from. */
  network: string;
  socket: TabSocket | null;
  /** When the socket was lost; null while it is there. */
  goneAt: number | null;
  standingKey: Signed;
  oneTimeKeys: Signed[];
  models: readonly ReadyModel[];
  direct: boolean;
  checkOnly: boolean;
  readonly guard: boolean;
  /** What its place among the pools is reckoned from; null for a tab that did not name itself: it is older than pools. */
  readonly homeKey: string | null;
  /** The account that it is paired with; null: none is known. Told to nobody. */
  owner: string | null;
  /** Numbers of the leases that the tab works on. */
  readonly leases: Set<number>;
  /** Tabs that this one may open a link to: it hands subtasks on to them. */
  readonly partners: Set<string>;
}

export function attachmentOf(tab: Tab): ReadyAttachment {
  return {
    state: 'ready',
    identity: tab.identity,
    network: tab.network,
    standingKey: tab.standingKey,
    models: tab.models,
    direct: tab.direct,
    checkOnly: tab.checkOnly,
    guard: tab.guard,
    ...(tab.homeKey !== null && { homeKey: tab.homeKey }),
    owner: tab.owner,
  };
}

export function tabFrom(attachment: ReadyAttachment, oneTimeKeys: readonly Signed[], socket: TabSocket): Tab {
  return {
    identity: attachment.identity,
    network: attachment.network,
    socket,
    goneAt: null,
    standingKey: attachment.standingKey,
    oneTimeKeys: [...oneTimeKeys],
    models: attachment.models,
    direct: attachment.direct,
    checkOnly: attachment.checkOnly,
    guard: attachment.guard,
    homeKey: attachment.homeKey ?? null,
    owner: attachment.owner ?? null,
    leases: new Set(),
    partners: new Set(),
  };
}

/** Where a tab is, as far as it is known. */
export function countryOfTab({ socket }: Pick<Tab, 'socket'>): string | null {
  return socket?.country ?? null;
}

/** What a tab gives itself out for. */
export interface Served {
  readonly classes: readonly string[];
  readonly checkOnly: boolean;
}

/**
 * How far apart two tabs are known to be. Their keys differ, or they would be one tab. Two that are paired with one account have one owner, wherever they are. That their
 * accounts differ says nothing: one person may have two.
 */
export function independenceOf(
  a: Pick<Tab, 'network' | 'guard' | 'owner'>,
  b: Pick<Tab, 'network' | 'guard' | 'owner'>,
): Independence {
  if (haveOneOwner(a, b)) return 'key';
  if (a.network !== b.network) return 'network';
  return a.guard === b.guard ? 'key' : 'owner'; // One of them is the operator's, the other one is not.
}

export function haveOneOwner(a: Pick<Tab, 'owner'>, b: Pick<Tab, 'owner'>): boolean {
  return a.owner !== null && a.owner === b.owner;
}
