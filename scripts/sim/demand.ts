import { exponential, normal } from './seeded-random.ts';

export type Level = 'none' | 'basic' | 'cross' | 'strict';

export const LEVELS: readonly Level[] = ['none', 'basic', 'cross', 'strict'];

export type LevelShares = Readonly<Record<Level, number>>;

/** Share of the prompts of each level: nearly everybody takes the default. */
export const USUAL_LEVELS: LevelShares = { none: 0.05, basic: 0.85, cross: 0.07, strict: 0.03 };

/** Nobody asks for a check: all of them are the network's. */
export const BASIC_ONLY: LevelShares = { none: 0, basic: 1, cross: 0, strict: 0 };

export interface Prompt {
  /** Tokens that a tab reads and writes for it, and a checker again. */
  readonly tokens: number;
  /** Those of them that are written. */
  readonly answerTokens: number;
  readonly level: Level;
}

/** Recorded requests: their tokens, those of their answers, and the gaps before them over the mean gap. */
export interface Trace {
  readonly tokens: readonly number[];
  readonly answerTokens: readonly number[];
  readonly gaps: readonly number[];
}

/** Sizes of chat requests in the Azure LLM inference trace of 2023 (conversation): medians, and spreads that give its 99th percentiles. */
const PROMPT_TOKENS = { median: 1020, sigma: 0.602 };
const ANSWER_TOKENS = { median: 129, sigma: 0.661 };

const DAY_MS = 24 * 60 * 60 * 1000;

export interface DemandOptions {
  /** Tokens of users a millisecond, on the mean of a day. */
  readonly tokensPerMs: number;
  /** How far demand swings around its mean in a day, 0 … 1. */
  readonly swing: number;
  /** Recorded sizes and gaps, taken in turn; null: log-normal sizes and a Poisson process. */
  readonly trace: Trace | null;
  readonly levels: LevelShares;
  readonly random: () => number;
}

/** Prompts as they come: more of them by day than by night. The run begins at night. */
export class Demand {
  readonly #options: DemandOptions;
  readonly meanTokens: number;
  #taken = 0;

  constructor(options: DemandOptions) {
    this.#options = options;
    const { trace } = options;
    this.meanTokens =
      trace === null ? logNormalMean(PROMPT_TOKENS) + logNormalMean(ANSWER_TOKENS) : meanOf(trace.tokens);
  }

  /** Time from now to the next prompt, ms. */
  nextGapMs(at: number): number {
    const { tokensPerMs, swing, trace, random } = this.#options;
    const now = tokensPerMs * (1 - swing * Math.cos((2 * Math.PI * at) / DAY_MS));
    const gap = trace === null ? exponential(random) : (trace.gaps[this.#taken % trace.gaps.length] ?? 1);
    return (gap * this.meanTokens) / Math.max(now, tokensPerMs * 1e-3);
  }

  next(): Prompt {
    const { trace, levels, random } = this.#options;
    const at = this.#taken++ % (trace?.tokens.length ?? 1);
    const prompt =
      trace?.tokens[at] === undefined
        ? logNormalPrompt(random)
        : { tokens: trace.tokens[at], answerTokens: trace.answerTokens[at] ?? 0 };
    return { ...prompt, level: drawLevel(levels, random()) };
  }
}

function logNormalPrompt(random: () => number): Omit<Prompt, 'level'> {
  const read = logNormal(PROMPT_TOKENS, random);
  const written = logNormal(ANSWER_TOKENS, random);
  return { tokens: Math.round(read + written) + 1, answerTokens: written };
}

function drawLevel(levels: LevelShares, draw: number): Level {
  let sum = 0;
  for (const level of LEVELS) {
    sum += levels[level];
    if (draw < sum) return level;
  }
  return 'basic';
}

interface LogNormal {
  readonly median: number;
  readonly sigma: number;
}

function logNormal({ median, sigma }: LogNormal, random: () => number): number {
  return median * Math.exp(sigma * normal(random));
}

function logNormalMean({ median, sigma }: LogNormal): number {
  return median * Math.exp(sigma ** 2 / 2);
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Reads a CSV of TIMESTAMP, ContextTokens, GeneratedTokens (the Azure LLM inference traces). Throws when it holds fewer than two requests. */
export function parseTrace(csv: string): Trace {
  const rows = csv
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(','))
    .map(([time = '', context, generated]) => ({
      at: Date.parse(`${time.replace(' ', 'T').slice(0, 23)}Z`),
      tokens: Number(context) + Number(generated),
      answerTokens: Number(generated),
    }))
    .filter(({ at, tokens }) => Number.isFinite(at) && tokens > 0);
  const [first] = rows;
  const last = rows.at(-1);
  if (first === undefined || last === undefined || last.at <= first.at) {
    throw new RangeError('No requests: expected lines of TIMESTAMP,ContextTokens,GeneratedTokens.');
  }
  const meanGap = (last.at - first.at) / (rows.length - 1);
  return {
    tokens: rows.map(({ tokens }) => tokens),
    answerTokens: rows.map(({ answerTokens }) => answerTokens),
    gaps: rows.map(({ at }, index) => (at - (rows[index - 1]?.at ?? at - meanGap)) / meanGap),
  };
}
