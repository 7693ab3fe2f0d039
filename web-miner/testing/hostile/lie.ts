import type { RouterToTab, TabToRouter } from '../../../shared/protocol/tab-socket.ts';
import type { Signer } from '../../../shared/signing/signed-statement.ts';
import type { Engine } from '../../engine/engine.ts';
import type { PromptRenderer } from '../../engine/render-prompt.ts';
import type { Accomplices } from './accomplices.ts';
import type { WriteAnswer } from './written-answer.ts';

/** A model that a hostile page has loaded. */
export interface LoadedWork {
  readonly engine: Engine;
  readonly renderer: PromptRenderer;
  /** What this model really writes; asked the same again, it remembers. */
  readonly write: WriteAnswer;
}

/** What a hostile tab has at hand. */
export interface Means {
  /** The model of the class that the tab claims. */
  readonly claimed: LoadedWork;
  /** A coarser quantization of it; null when the page has none. */
  readonly coarser: LoadedWork | null;
  /** Another model altogether; null when the page has none. */
  readonly other: LoadedWork | null;
  /** What the hostile tabs of one page tell each other, past the router. */
  readonly accomplices: Accomplices;
}

/** Sits between an honest tab and its socket. Leaving a part out changes nothing there. */
export interface Tamper {
  readonly heard?: (message: RouterToTab) => void;
  /** What is said instead; null: nothing. */
  readonly said?: (message: TabToRouter) => TabToRouter | null | Promise<TabToRouter | null>;
}

/** The one way in which a hostile tab is no honest tab. Lies with a state are made anew for each tab. */
export interface Lie {
  readonly work?: (means: Means) => Pick<LoadedWork, 'engine' | 'renderer'>;
  readonly wire?: (means: Means, signer: Signer) => Tamper;
}
