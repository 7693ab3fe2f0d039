import { proportionInterval } from '../../shared/checking/intervals.ts';
import { median, rounded } from '../bench/figures.ts';
import type { Attack, AttackKind } from './attacks.ts';
import type { AttackRun, Trial } from './run-attack.ts';

/** Per cent, and the ends of its 95 % interval. */
export interface Share {
  readonly percent: number;
  readonly low: number;
  readonly high: number;
}

/** One attack, counted. Figures that a kind of attack does not have are null. */
export interface AttackRow {
  readonly name: string;
  readonly kind: AttackKind;
  readonly what: string;
  readonly requests: number;
  /** Trials in which the lie was told: another text than the model's, or a hostile checker drawn. */
  readonly lies: number;
  readonly invalid: number;
  readonly disputed: number;
  readonly valid: number;
  readonly unchecked: number;
  readonly refused: number;
  /** Of the lies, those that the network acted upon: see {@link foundIn}. */
  readonly found: Share | null;
  /** Honest tabs that were found to lie. */
  readonly accused: number;
  readonly checker: {
    readonly agreed: number;
    readonly outvoted: number;
    readonly nothing: number;
    readonly undecided: number;
  } | null;
  /** Answers, each checked once or more, until a tab was found out: median and 95th percentile over its identities. */
  readonly until: {
    readonly tabs: number;
    readonly median: number;
    readonly high: number;
    readonly lies: number;
  } | null;
  /** What else there is to say, in a sentence. */
  readonly note: string | null;
}

export function rowOf(attack: Attack, { trials, standings }: AttackRun): AttackRow {
  const told = trials.filter((trial) => isTold(attack, trial));
  const verdicts = (value: string) => told.filter(({ asked }) => asked.receipt?.verdict.value === value).length;
  const refused = told.filter(({ asked }) => asked.refused !== null).length;
  return {
    name: attack.name,
    kind: attack.kind,
    what: attack.what,
    requests: trials.length,
    lies: told.length,
    invalid: verdicts('invalid'),
    disputed: verdicts('disputed'),
    valid: verdicts('valid'),
    unchecked: verdicts('unchecked'),
    refused,
    found: told.length === 0 ? null : shareOf(told.filter((trial) => isFound(attack, trial)).length, told.length),
    accused: trials.reduce((sum, { accused }) => sum + accused, 0),
    checker: attack.kind === 'checker' ? checkerCounts(told) : null,
    until: untilFound(attack, trials),
    note: noteOf(attack, trials, standings),
  };
}

export function shareOf(successes: number, trials: number): Share {
  const { low, high } = proportionInterval(successes, trials);
  const percent = (share: number) => rounded(100 * share, 1);
  return { percent: percent(successes / trials), low: percent(low), high: percent(high) };
}

function liarsCheck({ hostile }: Trial) {
  return hostile.find(({ role }) => role === 'check') ?? null;
}

/** Whether the lie of this attack was told in a trial at all. */
function isTold(attack: Attack, trial: Trial): boolean {
  switch (attack.kind) {
    case 'checker':
      return liarsCheck(trial) !== null;
    case 'refused':
      return trial.asked.refused !== null || trial.lied;
    case 'true-answer':
      return trial.hostile.some(({ role }) => role === 'answer');
    default:
      return trial.lied;
  }
}

/** An answer found invalid or refused; a checker outvoted or without effect; a count that the checkers did not confirm. */
function isFound(attack: Attack, trial: Trial): boolean {
  const { refused, receipt } = trial.asked;
  if (attack.kind === 'checker') {
    const outcome = liarsCheck(trial)?.outcome;
    return outcome === 'outvoted' || outcome === 'nothing';
  }
  if (attack.kind === 'true-answer') {
    const tokens = receipt?.tokens ?? null;
    return tokens !== null && tokens.counted < tokens.claimed;
  }
  return refused !== null || receipt?.verdict.value === 'invalid';
}

function checkerCounts(told: readonly Trial[]): AttackRow['checker'] {
  const outcomes = told.flatMap(({ hostile }) => hostile.filter(({ role }) => role === 'check'));
  const count = (wanted: string) => outcomes.filter(({ outcome }) => outcome === wanted).length;
  return {
    agreed: count('agreed'),
    outvoted: count('outvoted'),
    nothing: count('nothing'),
    undecided: count('undecided'),
  };
}

/** Answers until a tab was found out, in the order in which they were asked. */
function untilFound(attack: Attack, trials: readonly Trial[]): AttackRow['until'] {
  const role = attack.kind === 'checker' ? 'check' : 'answer';
  const counts = new Map<string, { answers: number; lies: number; found: boolean }>();
  for (const trial of trials) {
    for (const part of trial.hostile) {
      if (part.role !== role) continue;
      const count = counts.get(part.identity) ?? { answers: 0, lies: 0, found: false };
      if (count.found) continue; // Requests that were in flight when it was found out.
      count.answers++;
      if (trial.lied) count.lies++;
      count.found = part.outcome === 'outvoted' || part.outcome === 'nothing';
      counts.set(part.identity, count);
    }
  }
  const found = [...counts.values()].filter((count) => count.found);
  if (found.length === 0) return null;
  const answers = found.map((count) => count.answers).sort((a, b) => a - b);
  return {
    tabs: found.length,
    median: median(answers),
    high: answers[Math.ceil(0.95 * answers.length) - 1] ?? 0,
    lies: median(found.map((count) => count.lies)),
  };
}

function noteOf(attack: Attack, trials: readonly Trial[], standings: readonly string[]): string | null {
  const notes: string[] = [];
  if (attack.cast.rival === true) {
    const own = trials.filter(({ hostile }) => hostile.some(({ role }) => role === 'answer')).length;
    notes.push(`gave ${own} of ${trials.length} answers beside one honest tab`);
  }
  const counts = new Map<string, number>();
  for (const standing of standings) counts.set(standing, (counts.get(standing) ?? 0) + 1);
  if (counts.size > 0) {
    notes.push(`recorded afterwards as ${[...counts].map(([standing, count]) => `${standing} (${count})`).join(', ')}`);
  }
  return notes.length === 0 ? null : notes.join('; ');
}
