import type { PairLimits } from '../../shared/checking/forced-decode.ts';
import { IDLE_CHECKERS, type ProbeRow } from '../../shared/checking/probe-row.ts';
import type { RubricCalibration } from '../../shared/checking/rubric.ts';
import { repeatedShare, type SignLimits } from '../../shared/checking/semantic-signs.ts';
import { cosine } from '../../shared/checking/similarity.ts';
import type { Collection } from './calibration-data.ts';
import { calibrationOf, judgesOf } from './judge-areas.ts';

/** Limits from honest answers. Prompts that are attacked, every third, make no limit: rates are measured on them. */

/** Limits of statistics lie this many times beyond the largest honest value: a few hundred answers have not shown the largest there is. */
export const MARGIN = 1.5;

/** How much lower than the least related honest answer an answer off topic lies, in cosine. */
const TOPIC_MARGIN = 0.05;

/** The model that the data are of. */
export const MODEL = 'shoal-pup-3m';

export interface Limits {
  readonly statistical: PairLimits;
  readonly crossClass: PairLimits;
  readonly signs: SignLimits;
  readonly judges: Readonly<Record<string, RubricCalibration | null>>;
}

export type Pair = 'statistical' | 'crossClass';

/** Which checkers stand for a pair of classes with the honest tab's class; the last is the one whose rates are shown. */
export const CHECKERS: Readonly<Record<Pair, readonly string[]>> = {
  statistical: [IDLE_CHECKERS.statistical, 'flash', 'f32'],
  crossClass: [IDLE_CHECKERS['cross-class'], 'q4_0'],
};

export function isHeldOut({ prompt }: { readonly prompt: number }): boolean {
  return prompt % 3 === 0;
}

/** Honest answers as this pair of classes reads them; the pairs are tried in both directions where the data hold them. */
export function honestReadings(probes: readonly ProbeRow[], pair: Pair): readonly ProbeRow[] {
  const reversed = CHECKERS[pair].map((checker) => `honest-${checker}`);
  return probes.filter(
    ({ population, checker }) =>
      (population === 'honest' && CHECKERS[pair].includes(checker)) ||
      (checker === 'exact' && reversed.includes(population)),
  );
}

export function makeLimits(
  data: Collection,
  embed: (text: string) => Float32Array,
  prompts: readonly string[],
): Limits {
  return {
    statistical: pairLimits(data.probes, 'statistical'),
    crossClass: pairLimits(data.probes, 'crossClass'),
    signs: signLimits(data, embed, prompts),
    judges: Object.fromEntries(judgesOf(data.rubric).map((judge) => [judge, calibrationOf(data.rubric, judge)])),
  };
}

function pairLimits(probes: readonly ProbeRow[], pair: Pair): PairLimits {
  const honest = honestReadings(probes, pair).filter((row) => !isHeldOut(row));
  const largest = (temperature: 'greedy' | 'sampled', column: keyof ProbeRow) => {
    const rows = honest.filter((row) => (temperature === 'greedy') === (row.temperature === 0));
    const values = rows.map((row) => row[column]).filter((value) => typeof value === 'number');
    return roundedUp(MARGIN * Math.max(0, ...values.map(Math.abs)));
  };
  return {
    greedy: {
      form: 'greedy',
      meanGap: largest('greedy', 'meanGap'),
      largestGap: largest('greedy', 'largestGap'),
      outside: largest('greedy', 'outside'),
    },
    sampled: {
      form: 'sampled',
      z: largest('sampled', 'z'),
      largestSurprise: largest('sampled', 'largestSurprise'),
      outside: largest('sampled', 'undrawable'),
    },
    seeded: {
      form: 'seeded',
      meanDistance: largest('sampled', 'meanDistance'),
      strayed: largest('sampled', 'strayed'),
    },
  };
}

function signLimits(
  { texts }: Collection,
  embed: (text: string) => Float32Array,
  prompts: readonly string[],
): SignLimits {
  const honest = texts.filter((row) => row.population === 'honest' && !isHeldOut(row));
  const related = honest
    .map(({ prompt, text }) => cosine(embed(prompts[prompt] ?? ''), embed(text)))
    .filter((figure) => figure !== null);
  return {
    looping: roundedUp(MARGIN * Math.max(0, ...honest.map(({ text }) => repeatedShare(text)))),
    offTopic: Math.floor((Math.min(...related) - TOPIC_MARGIN) * 100) / 100,
  };
}

/** Two significant digits, never below the value. */
function roundedUp(value: number): number {
  if (value === 0) return 0;
  const unit = 10 ** (Math.floor(Math.log10(value)) - 1);
  return Number((Math.ceil(value / unit) * unit).toPrecision(2));
}

/** The source of `shared/checking/limits-of-checking.ts`, formatted as the house does. */
export function limitsSource(limits: Limits): string {
  return `import type { PairLimits } from './forced-decode.ts';
import type { RubricCalibration } from './rubric.ts';
import type { SignLimits } from './semantic-signs.ts';

/**
 * Written by \`npm run calibrate\` from the data in \`docs/calibration/\`, not to be edited. How well these limits separate is in \`docs/checking.md\`. They
 * hold for the model that they were measured on.
 */

/** By model: the same weights in another arithmetic. */
export const STATISTICAL_LIMITS: Readonly<Record<string, PairLimits>> = ${printed({ [MODEL]: limits.statistical })};

/** By model: another quantization of it. Much wider: changed texts still show, another draw does not. */
export const CROSS_CLASS_LIMITS: Readonly<Record<string, PairLimits>> = ${printed({ [MODEL]: limits.crossClass })};

export const SIGN_LIMITS: SignLimits = ${printed(limits.signs)};

/** By judge; \`null\` for one that was measured and is no better than a coin. */
export const JUDGE_CALIBRATIONS: Readonly<Record<string, RubricCalibration | null>> = ${printed(limits.judges)};
`;
}

function printed(value: unknown, indent = ''): string {
  if (Array.isArray(value)) return `[${value.map((item) => printed(item)).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const lines = Object.entries(value).map(
      ([name, item]) => `${indent}  ${/^\w+$/.test(name) ? name : `'${name}'`}: ${printed(item, `${indent}  `)},\n`,
    );
    return `{\n${lines.join('')}${indent}}`;
  }
  return typeof value === 'string' ? `'${value}'` : String(value);
}
