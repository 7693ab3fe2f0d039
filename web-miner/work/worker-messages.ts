import type { Bytes } from '../../shared/bytes.ts';
import type { Arithmetic } from '../../shared/classes/catalogue.ts';
import type { BudgetSettings } from '../budget/budget-settings.ts';
import type { PageSignals } from '../budget/work-gate.ts';
import type { LadderDevice } from '../models/model-ladder.ts';
import type { Shortage } from '../models/model-store.ts';
import type { LendingPhase } from './start-lending.ts';

/** Between a page and the worker that does all of a tab's work. Session descriptions and sealed bytes cross; prompts and answers never do. */

export type PageToWorker =
  | {
      readonly t: 'start';
      readonly origin: string;
      /** Null: the best for this device. */
      readonly model: string | null;
      readonly device: LadderDevice;
      readonly budget: BudgetSettings;
      readonly signals: PageSignals;
      readonly direct: boolean;
      readonly checkOnly: boolean;
      readonly guard: string | null;
      readonly arithmetic: Arithmetic;
      readonly wasmUrl: string;
      /** One 32-bit number that the worker raises when it has said goodbye; null where threads share no memory. */
      readonly goodbye: SharedArrayBuffer | null;
    }
  | { readonly t: 'stop' | 'finish' | 'testDevice' }
  /** Answered by `alive`: a worker that is stuck answers nothing. */
  | { readonly t: 'areYouAlive' }
  | { readonly t: 'direct'; readonly direct: boolean }
  | { readonly t: 'budget'; readonly settings: BudgetSettings }
  | { readonly t: 'signals'; readonly signals: PageSignals }
  /** Models to delete, by the digests of their weights: the answer to `shortage`. */
  | { readonly t: 'drop'; readonly weights: readonly string[] }
  | { readonly t: 'linkDescribed'; readonly id: string; readonly sdp: string | null }
  | { readonly t: 'linkOpened' | 'linkClosed'; readonly id: string }
  | { readonly t: 'linkReceived'; readonly id: string; readonly message: Bytes };

export type WorkerToPage =
  | { readonly t: 'phase'; readonly phase: LendingPhase; readonly identityKept: boolean }
  | { readonly t: 'alive' }
  | { readonly t: 'shortage'; readonly shortage: Shortage }
  | { readonly t: 'linkCreate'; readonly id: string; readonly initiator: boolean }
  | { readonly t: 'linkDescribe' | 'linkClose'; readonly id: string }
  | { readonly t: 'linkAccept'; readonly id: string; readonly type: 'offer' | 'answer'; readonly sdp: string }
  | { readonly t: 'linkSend'; readonly id: string; readonly message: Bytes };
