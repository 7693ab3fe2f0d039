import type { Size } from './expected-work.ts';
import type { Sla } from './fair-line.ts';

/** What a request asks of the network. */
export interface Asked {
  readonly model: string;
  readonly classes: readonly string[];
  readonly only: string | null;
  readonly allow: readonly string[] | null;
  readonly block: readonly string[];
  readonly regions?: readonly string[];
  readonly prefer: string | null;
  readonly size: Size;
  /** Who shares the tabs with whom: a key, or a class of addresses. */
  readonly account: string;
  readonly sla: Sla;
  /** Digest of the conversation's beginning; null for a request that belongs to none. */
  readonly conversation: string | null;
}
