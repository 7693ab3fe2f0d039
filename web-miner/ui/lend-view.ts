import type { Shortage } from '../models/model-store.ts';
import type { LendingPhase } from '../work/start-lending.ts';

/** What `/join` shows: what this tab does, or what the tab of this browser does that lends already. */
export type LendView =
  | LendingPhase
  | { readonly phase: 'idle' }
  /** The browser has no room: which other models may go? */
  | { readonly phase: 'shortage'; readonly shortage: Shortage }
  /** Another tab lends. `shown`: what it says of itself; null until it did. */
  | { readonly phase: 'elsewhere'; readonly shown: LendingPhase | null };

/** Whether a model is loaded, or on its way, in this very tab. */
export function isLending({ phase }: LendView): boolean {
  return ['preparing', 'downloading', 'loading', 'testing', 'joining', 'serving', 'shortage'].includes(phase);
}
