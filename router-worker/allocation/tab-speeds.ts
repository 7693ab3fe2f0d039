/** How fast a tab is expected to be, and how likely it is to finish what it begins. */
export interface Speeds {
  /** Prompt tokens read in a second. */
  readonly prefill: number;
  /** Tokens written in a second. */
  readonly decode: number;
  /** From a lease to the tab's word that it took it up, ms: two ways, and the client's envelope. */
  readonly roundTripMs: number;
  /** Share of its answers that it brings to their end, 0 … 1. */
  readonly reliability: number;
  /** Whether it has finished anything; else these are what is assumed of a newcomer. */
  readonly isMeasured: boolean;
}

/** What the pool's own clock saw of one answer. Null for what it could not see. */
export interface SeenWork {
  /** Prompt tokens that had to be read, and the time from the tab's ack to its first frame, ms. */
  readonly prefill: { readonly tokens: number; readonly ms: number } | null;
  /** Tokens after the first frame, and the time that they took, ms. */
  readonly decode: { readonly tokens: number; readonly ms: number } | null;
  readonly roundTripMs: number | null;
}

/** Assumed where nobody of the class was measured yet, tokens per second: low, so that proven tabs go first. */
const UNPROVEN = { prefill: 10, decode: 1 };
/** A newcomer is expected to be so many times slower than its class: it gets its chance when the others are busy. */
const NEWCOMER_CAUTION = 2;
const FIRST_ROUND_TRIP_MS = 150;

/** Weight of the newest sample. A tab that was hidden is known for slow after two answers, and for fast again after two more. */
const NEWEST = 0.4;
/** A sample of so many tokens has half its weight: timers and the network blur short ones. */
const HALF_WEIGHT_TOKENS = 16;
/** Weight of the newest sample in what is expected of a class. */
const NEWEST_IN_CLASS = 0.02;

const FIRST_RELIABILITY = 0.95;
const FINISHED_WEIGHT = 0.1;
const LOST_WEIGHT = 0.3;

/** No device does more, tokens per second: whoever claims more tokens than that gains nothing by it. */
const MOST = { prefill: 50_000, decode: 2_000 };

/** Tabs remembered of a class: more than a pool has sockets. Classes are those of the catalogue. */
const MAX_REMEMBERED = 2_048;

interface Measured {
  /** Milliseconds a token: what is averaged, because times add up and speeds do not. */
  prefillMs: number | null;
  decodeMs: number | null;
  roundTripMs: number | null;
  reliability: number;
  isMeasured: boolean;
}

interface ClassSpeeds {
  prefillMs: number | null;
  decodeMs: number | null;
  readonly tabs: Map<string, Measured>;
}

/** Speeds by tab and class, as the pool measured them. What a tab claims of itself counts for nothing. */
export class TabSpeeds {
  readonly #classes = new Map<string, ClassSpeeds>();

  of(tab: string, classId: string): Speeds {
    const common = this.#classes.get(classId);
    const measured = common?.tabs.get(tab);
    return {
      prefill: 1000 / (measured?.prefillMs ?? cautious(common?.prefillMs, UNPROVEN.prefill)),
      decode: 1000 / (measured?.decodeMs ?? cautious(common?.decodeMs, UNPROVEN.decode)),
      roundTripMs: measured?.roundTripMs ?? FIRST_ROUND_TRIP_MS,
      reliability: measured?.reliability ?? FIRST_RELIABILITY,
      isMeasured: measured?.isMeasured ?? false,
    };
  }

  /** What is expected of a tab of the class that nobody has named yet. */
  typical(classId: string): Pick<Speeds, 'prefill' | 'decode' | 'roundTripMs'> {
    const common = this.#classes.get(classId);
    return {
      prefill: common?.prefillMs == null ? UNPROVEN.prefill : 1000 / common.prefillMs,
      decode: common?.decodeMs == null ? UNPROVEN.decode : 1000 / common.decodeMs,
      roundTripMs: FIRST_ROUND_TRIP_MS,
    };
  }

  finished(tab: string, classId: string, seen: SeenWork): void {
    const measured = this.#measured(tab, classId);
    const common = this.#class(classId);
    measured.isMeasured = true;
    measured.reliability += FINISHED_WEIGHT * (1 - measured.reliability);
    if (seen.prefill !== null && seen.prefill.tokens > 0) {
      const ms = perToken(seen.prefill, MOST.prefill);
      measured.prefillMs = blend(measured.prefillMs, ms, weightOf(seen.prefill.tokens));
      common.prefillMs = blend(common.prefillMs, ms, NEWEST_IN_CLASS);
    }
    if (seen.decode !== null && seen.decode.tokens > 0) {
      const ms = perToken(seen.decode, MOST.decode);
      measured.decodeMs = blend(measured.decodeMs, ms, weightOf(seen.decode.tokens));
      common.decodeMs = blend(common.decodeMs, ms, NEWEST_IN_CLASS);
    }
    if (seen.roundTripMs !== null) measured.roundTripMs = blend(measured.roundTripMs, seen.roundTripMs, NEWEST);
  }

  /** It has not read so many tokens in this time, ms. */
  slower(tab: string, classId: string, read: { readonly tokens: number; readonly ms: number }): void {
    const measured = this.#measured(tab, classId);
    measured.prefillMs = blend(measured.prefillMs, read.ms / read.tokens, weightOf(read.tokens));
  }

  /** It went away from an answer, failed at it, or missed its deadline. */
  lost(tab: string, classId: string): void {
    const measured = this.#measured(tab, classId);
    measured.reliability -= LOST_WEIGHT * measured.reliability;
  }

  #class(classId: string): ClassSpeeds {
    const common = this.#classes.get(classId) ?? { prefillMs: null, decodeMs: null, tabs: new Map() };
    this.#classes.set(classId, common);
    return common;
  }

  #measured(tab: string, classId: string): Measured {
    const { tabs } = this.#class(classId);
    const measured = tabs.get(tab) ?? {
      prefillMs: null,
      decodeMs: null,
      roundTripMs: null,
      reliability: FIRST_RELIABILITY,
      isMeasured: false,
    };
    // Whoever was heard last is forgotten last.
    tabs.delete(tab);
    const [oldest] = tabs.keys();
    if (oldest !== undefined && tabs.size >= MAX_REMEMBERED) tabs.delete(oldest);
    tabs.set(tab, measured);
    return measured;
  }
}

function cautious(msPerToken: number | null | undefined, unproven: number): number {
  return msPerToken == null ? 1000 / unproven : msPerToken * NEWCOMER_CAUTION;
}

function perToken({ tokens, ms }: { readonly tokens: number; readonly ms: number }, most: number): number {
  return Math.max(ms / tokens, 1000 / most);
}

function weightOf(tokens: number): number {
  return (NEWEST * tokens) / (tokens + HALF_WEIGHT_TOKENS);
}

function blend(before: number | null, sample: number, weight: number): number {
  return before === null ? sample : before + weight * (sample - before);
}
