import type { Work } from './expected-work.ts';
import { NOBODY_WAITS, type TabLine } from './tab-plans.ts';
import type { Speeds } from './tab-speeds.ts';

/** What the choice of a tab knows of it. */
export interface Candidate {
  readonly tab: string;
  readonly class: string;
  /** Leases that the tab works on now. */
  readonly load: number;
  /** Until it is expected to be free, ms; 0 for a free one. */
  readonly busyForMs: number;
  readonly speeds: Speeds;
  /** By its record: 0 is asked first. */
  readonly rank: number;
  /** It missed a deadline not long ago. */
  readonly isResting: boolean;
}

/** What a request demands of its tab. Its context is a property of the class, and was held against the prompt before. */
export interface Requirements {
  readonly classes: readonly string[];
  /** The only tab that is meant; null: any. */
  readonly only: string | null;
  /** Tabs that may serve; null: all. */
  readonly allow: readonly string[] | null;
  readonly block: readonly string[];
  /** The tab that the client has a link to: taken when it is free, and not under suspicion while another is not. */
  readonly prefer: string | null;
  /** The tab whose engine still holds the beginning of the conversation, and how much of it. */
  readonly warm: { readonly tab: string; readonly tokens: number } | null;
}

/** Times from now on, ms. */
export interface Expected {
  readonly startMs: number;
  readonly firstTokenMs: number;
  /** From its start to its end. */
  readonly workMs: number;
  /** What tabs are compared by: waiting, reading and writing by what they count for, over the chance that the tab comes to the end of it. */
  readonly scoreMs: number;
}

export type Outcome = 'chosen' | 'busy' | 'slower' | 'as_good' | 'lower_standing' | 'missed_deadline';

/** A tab that was thought of: its score, and why it was not taken. */
export interface Considered {
  readonly tab: string;
  readonly class: string;
  readonly scoreMs: number;
  readonly warmTokens: number;
  readonly outcome: Outcome;
}

export type Choice =
  | {
      readonly do: 'lease';
      readonly tab: string;
      readonly class: string;
      readonly expected: Expected;
      readonly warmTokens: number;
      readonly considered: readonly Considered[];
    }
  /** All are busy, or one that is busy will be through with it sooner than any that is free. */
  | { readonly do: 'wait'; readonly tab: string; readonly expected: Expected }
  | { readonly do: 'refuse' };

/** One engine runs one answer at a time: a second one would share its cores, so both would come at half the speed. */
export const MAX_LEASES_PER_TAB = 1;

/** A link to a tab that is new is worth more than another's record; one to a tab under suspicion is not. */
const LAST_PREFERRED_RANK = 1;

/**
 * Tabs whose scores are within this share of the best are equals; of two of them, drawn at random, the better one is taken (the power of two choices;
 * Mitzenmacher, 2001). Always taking the very best would send everybody who asks at once the same way.
 */
const EQUALS = 0.1;

/** Where more tabs are free, so many are compared in full, and shown: the best of all, and of the others some that are drawn. */
export const MOST_COMPARED = 64;

/** A busy tab is waited for when that saves this share of the time, and at least so many ms: its end is a guess. */
const WORTH_WAITING = { share: 0.2, ms: 500 };

/**
 * Share of its own work that a request counts for the wait of each behind whom it goes before: some of those will find another tab. By `npm run sim -- azure`:
 * with 1 the 99th percentile of the wait is 2 to 6 % longer.
 */
const MADE_TO_WAIT = 0.7;

/** However often a tab fails, it is expected to succeed this often: it is never asked if it is never given a chance. */
const LEAST_RELIABILITY = 0.05;

/** Tabs that are shown for a task. */
const MOST_SHOWN = 8;

/**
 * What a second of each kind counts for. Waiting counts three times: its end is a guess, and until the first token a person sees nothing. So does reading.
 */
const WEIGHTS = { wait: 3, read: 3, write: 1 };

/** What it takes this tab from now on. */
export function expect(
  { speeds, busyForMs }: Pick<Candidate, 'speeds' | 'busyForMs'>,
  work: Omit<Work, 'most'>,
  warmTokens: number,
): Expected {
  const readMs = readMsOf(speeds, work, warmTokens);
  return {
    startMs: busyForMs,
    firstTokenMs: busyForMs + readMs,
    workMs: readMs + writeMsOf(speeds, work),
    scoreMs: waitScoreMs(busyForMs) + workScoreMs(speeds, work, warmTokens),
  };
}

/** What a wait counts for. */
export function waitScoreMs(ms: number): number {
  return WEIGHTS.wait * ms;
}

function workScoreMs(speeds: Speeds, work: Omit<Work, 'most'>, warmTokens: number): number {
  const weighedMs = WEIGHTS.read * readMsOf(speeds, work, warmTokens) + WEIGHTS.write * writeMsOf(speeds, work);
  return weighedMs / Math.max(LEAST_RELIABILITY, speeds.reliability);
}

/** The last token is always read anew: its logits are the first token of the answer. */
function readMsOf({ roundTripMs, prefill }: Speeds, { promptTokens }: Omit<Work, 'most'>, warmTokens: number): number {
  return roundTripMs + (1000 * Math.max(1, promptTokens - warmTokens)) / prefill;
}

function writeMsOf({ decode }: Speeds, { outputTokens }: Omit<Work, 'most'>): number {
  return (1000 * outputTokens) / decode;
}

/** Which tab serves, or whom to wait for, or nobody. `random`: numbers in 0 … 1. `lineOn`: who waits for a tab already. */
export function chooseTab(
  candidates: readonly Candidate[],
  wanted: Requirements,
  work: Omit<Work, 'most'>,
  random: () => number,
  lineOn: (tab: string) => TabLine = () => NOBODY_WAITS,
): Choice {
  const warmTokensOn = ({ tab }: Candidate) => (wanted.warm?.tab === tab ? wanted.warm.tokens : 0);
  const score = (candidate: Candidate): Scored => {
    const warmTokens = warmTokensOn(candidate);
    const busyForMs = candidate.busyForMs + lineOn(candidate.tab).beforeMs;
    return { candidate, warmTokens, expected: expect({ ...candidate, busyForMs }, work, warmTokens) };
  };
  const able = candidates.filter((candidate) => mayServe(candidate, wanted));
  if (able.length === 0) return { do: 'refuse' };
  // A request rather waits for a tab that is known to work than goes to one that was just lost sight of.
  const areRested = able.some((candidate) => !candidate.isResting);
  const serving = areRested ? able.filter((candidate) => !candidate.isResting) : able;
  // A tab for which others wait is as good as taken.
  const free = serving.filter((candidate) => isFree(candidate) && !isAwaited(lineOn(candidate.tab)));
  const first = free.reduce((least, { rank }) => Math.min(least, rank), Number.POSITIVE_INFINITY);
  const foremost = free.filter(({ rank }) => rank === first);
  const drawn = drawSome(foremost, [fastestOf(foremost, work, warmTokensOn)?.tab, wanted.warm?.tab], random);
  const scored = drawn.map(score).sort(byScore);
  const [best] = scored;
  // The one to wait for: of those only that have at least the standing of whoever is free.
  let next: Candidate | null = null;
  let leastMs = Number.POSITIVE_INFINITY;
  for (const candidate of serving) {
    if (candidate.rank > first) continue;
    const line = lineOn(candidate.tab);
    if (isFree(candidate) && !isAwaited(line)) continue;
    const ms = waitingCostMs(candidate, line, work, warmTokensOn(candidate));
    if (ms >= leastMs) continue;
    next = candidate;
    leastMs = ms;
  }
  const preferred = free.find(({ tab, rank }) => tab === wanted.prefer && rank <= Math.max(first, LAST_PREFERRED_RANK));
  const chosen =
    preferred !== undefined
      ? score(preferred)
      : best === undefined || isWorthWaiting(leastMs, best)
        ? null
        : betterOfTwo(scored, best, random);
  if (chosen === null) {
    return next === null ? { do: 'refuse' } : { do: 'wait', tab: next.tab, expected: score(next).expected };
  }
  const others = [...scored, ...someOf(able, drawn).map(score)].filter(
    ({ candidate }) => candidate.tab !== chosen.candidate.tab,
  );
  return {
    do: 'lease',
    tab: chosen.candidate.tab,
    class: chosen.candidate.class,
    expected: chosen.expected,
    warmTokens: chosen.warmTokens,
    considered: [
      shown(chosen, 'chosen'),
      ...others
        .sort(byScore)
        .slice(0, MOST_SHOWN - 1)
        .map((one) => shown(one, whyNot(one, chosen, areRested))),
    ],
  };
}

/** What it costs everybody when a request waits for this tab: its own score, and the wait of those behind whom it goes before. */
function waitingCostMs(
  { speeds, busyForMs }: Candidate,
  { beforeMs, behind }: TabLine,
  work: Omit<Work, 'most'>,
  warmTokens: number,
): number {
  const ownMs = waitScoreMs(busyForMs + beforeMs) + workScoreMs(speeds, work, warmTokens);
  if (behind === 0) return ownMs;
  return ownMs + MADE_TO_WAIT * behind * waitScoreMs(readMsOf(speeds, work, warmTokens) + writeMsOf(speeds, work));
}

interface Scored {
  readonly candidate: Candidate;
  readonly warmTokens: number;
  readonly expected: Expected;
}

export function mayServe({ tab, class: id }: Pick<Candidate, 'tab' | 'class'>, wanted: Requirements): boolean {
  if (wanted.only !== null) return wanted.only === tab && wanted.classes.includes(id);
  return wanted.classes.includes(id) && wanted.allow?.includes(tab) !== false && !wanted.block.includes(tab);
}

function isFree({ load }: Candidate): boolean {
  return load < MAX_LEASES_PER_TAB;
}

/** Some that were not compared: busy ones, and those that others go before. */
function someOf(able: readonly Candidate[], compared: readonly Candidate[]): Candidate[] {
  const some: Candidate[] = [];
  for (const candidate of able) {
    if (some.length === MOST_SHOWN) break;
    if (!compared.includes(candidate)) some.push(candidate);
  }
  return some;
}

function byScore(a: Scored, b: Scored): number {
  return a.expected.scoreMs - b.expected.scoreMs;
}

function isAwaited({ beforeMs, behind }: TabLine): boolean {
  return beforeMs > 0 || behind > 0;
}

function isWorthWaiting(busyMs: number, free: Scored): boolean {
  const saved = free.expected.scoreMs - busyMs;
  return saved > WORTH_WAITING.ms && saved > WORTH_WAITING.share * free.expected.scoreMs;
}

function fastestOf(
  free: readonly Candidate[],
  work: Omit<Work, 'most'>,
  warmTokensOn: (candidate: Candidate) => number,
): Candidate | null {
  let fastest: Candidate | null = null;
  let leastMs = Number.POSITIVE_INFINITY;
  for (const candidate of free) {
    const ms = workScoreMs(candidate.speeds, work, warmTokensOn(candidate));
    if (ms >= leastMs) continue;
    fastest = candidate;
    leastMs = ms;
  }
  return fastest;
}

/** At most {@link MOST_COMPARED} of them: those that are to be among them, and of the rest each as likely as another. */
function drawSome(
  all: readonly Candidate[],
  wanted: readonly (string | undefined)[],
  random: () => number,
): Candidate[] {
  if (all.length <= MOST_COMPARED) return [...all];
  const drawn = new Set(all.filter(({ tab }) => wanted.includes(tab)));
  while (drawn.size < MOST_COMPARED) {
    const one = all[Math.floor(random() * all.length)];
    if (one !== undefined) drawn.add(one);
  }
  return [...drawn];
}

function betterOfTwo(scored: readonly Scored[], best: Scored, random: () => number): Scored {
  const equals = scored.filter(({ expected }) => expected.scoreMs <= (1 + EQUALS) * best.expected.scoreMs);
  const draw = () => equals[Math.min(equals.length - 1, Math.floor(random() * equals.length))] ?? best;
  const [one, other] = [draw(), draw()];
  return byScore(one, other) <= 0 ? one : other;
}

function whyNot({ candidate, expected }: Scored, chosen: Scored, areRested: boolean): Outcome {
  if (areRested && candidate.isResting) return 'missed_deadline';
  if (candidate.rank > chosen.candidate.rank) return 'lower_standing';
  if (!isFree(candidate)) return 'busy';
  return expected.scoreMs <= (1 + EQUALS) * chosen.expected.scoreMs ? 'as_good' : 'slower';
}

function shown({ candidate, warmTokens, expected }: Scored, outcome: Outcome): Considered {
  const { tab, class: id } = candidate;
  return { tab, class: id, scoreMs: Math.round(expected.scoreMs), warmTokens: Math.round(warmTokens), outcome };
}
