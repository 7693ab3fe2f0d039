import { exponential, normal } from '../seeded-random.ts';

export interface Request {
  readonly id: number;
  /** When it comes, ms. */
  readonly at: number;
  readonly account: string;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** What the router sees of the prompt before a tab has read it. */
  readonly promptBytes: number;
  /** How much slower or faster than usual a tab works on it: thermals, other programs, the text itself. */
  readonly pace: number;
}

/** Recorded requests: sizes in tokens, and the gap before each over the mean gap. */
export interface Recorded {
  readonly sizes: readonly { readonly prompt: number; readonly output: number }[];
  readonly gaps: readonly number[];
}

/** Medians of the Azure LLM inference trace of 2023 (conversation), and spreads that give its 99th percentiles. */
const PROMPT_TOKENS = { median: 1020, sigma: 0.602 };
const ANSWER_TOKENS = { median: 129, sigma: 0.661 };

const BYTES_PER_TOKEN = { median: 4, sigma: 0.12 };
const PACE_SIGMA = 0.08;

/** Reads a CSV of TIMESTAMP, ContextTokens, GeneratedTokens. Throws `RangeError` when it holds fewer than two requests. */
export function parseRequests(csv: string): Recorded {
  const rows = csv
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(','))
    .map(([time = '', prompt, output]) => ({
      at: Date.parse(`${time.replace(' ', 'T').slice(0, 23)}Z`),
      prompt: Number(prompt),
      output: Number(output),
    }))
    .filter(({ at, prompt, output }) => Number.isFinite(at) && prompt > 0 && output > 0);
  const [first] = rows;
  const last = rows.at(-1);
  if (first === undefined || last === undefined || last.at <= first.at) {
    throw new RangeError('No requests: expected lines of TIMESTAMP,ContextTokens,GeneratedTokens.');
  }
  const meanGap = (last.at - first.at) / (rows.length - 1);
  return {
    sizes: rows.map(({ prompt, output }) => ({ prompt, output })),
    gaps: rows.map(({ at }, index) => Math.max(0, at - (rows[index - 1]?.at ?? at - meanGap)) / meanGap),
  };
}

/** Requests of the same marginal sizes that come as a Poisson process, for whoever has no trace at hand. */
export function syntheticRequests(count: number, random: () => number): Recorded {
  const draw = ({ median, sigma }: typeof PROMPT_TOKENS) =>
    Math.max(1, Math.round(median * Math.exp(sigma * normal(random))));
  return {
    sizes: Array.from({ length: count }, () => ({ prompt: draw(PROMPT_TOKENS), output: draw(ANSWER_TOKENS) })),
    gaps: Array.from({ length: count }, () => exponential(random)),
  };
}

/** So many requests, recorded ones over and over, at this rate. */
export function requestsOf(
  recorded: Recorded,
  options: {
    readonly count: number;
    readonly perSecond: number;
    readonly accountOf: (random: () => number) => string;
    readonly random: () => number;
  },
): Request[] {
  const { count, perSecond, accountOf, random } = options;
  let at = 0;
  return Array.from({ length: count }, (_, id) => {
    const size = recorded.sizes[id % recorded.sizes.length] ?? { prompt: 1, output: 1 };
    at += ((recorded.gaps[id % recorded.gaps.length] ?? 1) * 1000) / perSecond;
    return {
      id,
      at,
      account: accountOf(random),
      promptTokens: size.prompt,
      outputTokens: size.output,
      promptBytes: Math.round(size.prompt * BYTES_PER_TOKEN.median * Math.exp(BYTES_PER_TOKEN.sigma * normal(random))),
      pace: Math.exp(PACE_SIGMA * normal(random)),
    };
  });
}
