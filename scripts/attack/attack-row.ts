import { proportionInterval } from '../../shared/checking/intervals.ts';
import { median, rounded } from '../bench/figures.ts';
import type { Attack, AttackKind } from './attacks.ts';
import { type AttackRun, isFound, type Trial } from './run-attack.ts';
import type { IdleTrial } from './run-idle.ts';

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
  /** Verdicts of readers that could not read. */
  readonly inconclusive: number;
  readonly refused: number;
  /** Of the lies, those that the network acted upon: see {@link isFoundIn}. */
  readonly found: Share | null;
  /** Honest tabs that were found to lie. */
  readonly accused: number;
  readonly checker: {
    readonly agreed: number;
    readonly outvoted: number;
    readonly nothing: number;
    readonly undecided: number;
    /** Suspected afterwards, whatever became of its check. */
    readonly suspected: number;
  } | null;
  /** Answers of a near class, read by others. */
  readonly read: {
    /** Answers whose first reading failed; of lies, where any were told. */
    readonly first: Share;
    /** Of runs of eight answers of one tab in which it lied, those in which a reading failed; null where it did not lie. */
    readonly withinEight: Share | null;
  } | null;
  /** Nobody asked: until the network's own tasks brought the tab that lies into quarantine. */
  readonly idle: {
    /** Own tasks that were given to all tabs until then: median and most. */
    readonly tasks: number;
    readonly mostTasks: number;
    /** Seconds until then: median and most. */
    readonly seconds: number;
    readonly mostSeconds: number;
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
    inconclusive: verdicts('inconclusive'),
    refused,
    found: told.length === 0 ? null : shareOf(told.filter((trial) => isFoundIn(attack, trial)).length, told.length),
    accused: trials.reduce((sum, { accused }) => sum + accused, 0),
    checker: isOfChecker(attack) ? checkerCounts(told) : null,
    read: attack.kind === 'read' || attack.kind === 'read-honest' ? readingsOf(trials, told) : null,
    idle: null,
    until: untilFound(attack, trials),
    note: noteOf(attack, trials, standings),
  };
}

/** The row of an attack on which nobody asked anything. */
export function idleRowOf(attack: Attack, trials: readonly IdleTrial[]): AttackRow {
  const sum = (of: (trial: IdleTrial) => number) => trials.reduce((total, trial) => total + of(trial), 0);
  const [liars, quarantined] = [sum((trial) => trial.liars), sum((trial) => trial.quarantined)];
  const whole = trials.filter((trial) => trial.quarantined === trial.liars);
  const tasks = whole.map((trial) => trial.tasks);
  const seconds = whole.map((trial) => Math.round(trial.seconds));
  const blank = { valid: 0, invalid: 0, disputed: 0, unchecked: 0, inconclusive: 0, refused: 0 };
  return {
    ...blank,
    name: attack.name,
    kind: attack.kind,
    what: attack.what,
    requests: trials.length,
    lies: liars,
    found: liars === 0 ? null : shareOf(quarantined, liars),
    accused: sum((trial) => trial.accused),
    checker: null,
    read: null,
    idle:
      whole.length === 0
        ? null
        : {
            tasks: median(tasks),
            mostTasks: Math.max(...tasks),
            seconds: median(seconds),
            mostSeconds: Math.max(...seconds),
          },
    until: null,
    note: null,
  };
}

export function shareOf(successes: number, trials: number): Share {
  const { low, high } = proportionInterval(successes, trials);
  const percent = (share: number) => rounded(100 * share, 1);
  return { percent: percent(successes / trials), low: percent(low), high: percent(high) };
}

/** Answers of one tab after which it should have been found, where one reading proves nothing. */
const WITHIN = 8;

function isOfChecker({ kind }: Attack): boolean {
  return kind === 'checker' || kind === 'reader';
}

function isDisputed({ asked }: Trial): boolean {
  return asked.receipt?.verdict.value === 'disputed';
}

/** A tab that is only suspected keeps its identity: the trials are those of one tab, in their order. */
function readingsOf(trials: readonly Trial[], told: readonly Trial[]): AttackRow['read'] {
  const first = told.filter(
    ({ asked }) => asked.receipt?.checks.find(({ finding }) => finding !== null)?.finding === 'does_not_fit',
  );
  const runs = Array.from({ length: Math.floor(trials.length / WITHIN) }, (_, run) =>
    trials.slice(run * WITHIN, (run + 1) * WITHIN).filter(({ lied }) => lied),
  ).filter((lies) => lies.length > 0);
  return told.length === 0
    ? null
    : {
        first: shareOf(first.length, told.length),
        withinEight: runs.length === 0 ? null : shareOf(runs.filter((run) => run.some(isDisputed)).length, runs.length),
      };
}

function liarsCheck({ hostile }: Trial) {
  return hostile.find(({ role }) => role === 'check') ?? null;
}

/** Whether the lie of this attack was told in a trial at all. */
function isTold(attack: Attack, trial: Trial): boolean {
  switch (attack.kind) {
    case 'checker':
    case 'reader':
      return liarsCheck(trial) !== null;
    case 'read-honest':
      return trial.asked.receipt !== null;
    case 'refused':
      return trial.asked.refused !== null || trial.lied;
    case 'true-answer':
      return trial.hostile.some(({ role }) => role === 'answer');
    default:
      return trial.lied;
  }
}

/** An answer found invalid or refused, or disputed where it was read; a checker outvoted or without effect; a count that the checkers did not confirm. */
function isFoundIn(attack: Attack, trial: Trial): boolean {
  const { refused, receipt } = trial.asked;
  if (isOfChecker(attack)) {
    const part = liarsCheck(trial);
    return part !== null && isFound(part);
  }
  if (attack.kind === 'read' || attack.kind === 'read-honest') return isDisputed(trial);
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
    suspected: outcomes.filter(({ isSuspected }) => isSuspected === true).length,
  };
}

/** Answers until a tab was found out, in the order in which they were asked. */
function untilFound(attack: Attack, trials: readonly Trial[]): AttackRow['until'] {
  const role = isOfChecker(attack) ? 'check' : 'answer';
  const counts = new Map<string, { answers: number; lies: number; found: boolean }>();
  for (const trial of trials) {
    for (const part of trial.hostile) {
      if (part.role !== role) continue;
      const count = counts.get(part.identity) ?? { answers: 0, lies: 0, found: false };
      if (count.found) continue; // Requests that were in flight when it was found out.
      count.answers++;
      if (trial.lied) count.lies++;
      count.found = isFound(part);
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
  if (standings.length > 0) notes.push(`recorded afterwards as ${countedText(standings)}`);
  if (attack.kind === 'read-honest') {
    const failed = trials.filter(isDisputed).map(failedIn);
    if (failed.length > 0) notes.push(`in dispute for ${countedText(failed)}`);
  }
  return notes.length === 0 ? null : notes.join('; ');
}

/** Statistics that the first reading found above their limit. */
function failedIn({ asked }: Trial): string {
  return asked.receipt?.checks.find(({ finding }) => finding === 'does_not_fit')?.failed.join(' and ') ?? 'nothing';
}

/** Each once, with how often it came. */
function countedText(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${name} (${count})`).join(', ');
}
