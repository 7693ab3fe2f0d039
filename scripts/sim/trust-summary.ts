import { LEVELS } from './demand.ts';
import { ATTACKS, type Kind } from './tab-kinds.ts';
import type { KindOutcome, TrustOutcome, Work } from './trust-figures.ts';

/** Goals, as shares. */
export const MAX_DEMAND_OVERHEAD = 0.05;
export const MAX_HONEST_LOSS = 0.001;

export interface KindSummary {
  readonly kind: Kind;
  readonly tabs: number;
  readonly answers: number;
  readonly bad: KindOutcome['bad'];
  readonly badTotal: number;
  /** Per tab that was lent all the time, as if one person ran it, under however many keys. */
  readonly badPerTabAndDay: number;
  readonly medianBadBefore: number | null;
  readonly p95BadBefore: number | null;
  readonly medianChecksBefore: number | null;
  readonly falseAccepts: number;
  readonly falseRejects: number;
  readonly quarantines: number;
  readonly bans: number;
  /** Pay over tokens computed, and over speed and time, relative to the honest. */
  readonly perCompute: number;
  readonly perHour: number;
}

export interface TrustSummary {
  readonly kinds: readonly KindSummary[];
  readonly tasks: number;
  readonly refused: number;
  readonly disputed: number;
  readonly unchecked: number;
  readonly badShare: number;
  /** What the network decides to run besides the work of users, over the work of users. Checks that users ask for are theirs. */
  readonly demandOverhead: number | null;
  readonly idleOverhead: number | null;
  /** Day by day, busy or idle. */
  readonly overheadByDay: readonly (number | null)[];
  /** Share of its pay that the honest kind was refused or that it forfeited. */
  readonly honestLoss: number;
  /** The most that an attack earns, relative to the honest. */
  readonly bestAttack: number;
  readonly goals: {
    readonly demandOverhead: boolean;
    readonly noAttackPays: boolean;
    readonly honestLoss: boolean;
  };
}

export function summarize(outcome: TrustOutcome, days: number): TrustSummary {
  const honest = outcome.kinds.get('honest');
  const kinds = [...outcome.kinds].map(([kind, of]) => summaryOf(kind, of, honest, days));
  const attacks = kinds.filter(({ kind }) => ATTACKS.includes(kind));
  const bestAttack = Math.max(0, ...attacks.map(({ perCompute, perHour }) => Math.max(perCompute, perHour)));
  const demandOverhead = overheadOf(outcome.demandTime);
  const honestLoss = honest === undefined ? 0 : ratio(honest.lost, honest.lost + honest.earned);
  return {
    kinds,
    tasks: outcome.tasks,
    refused: outcome.refused,
    disputed: outcome.disputed,
    unchecked: outcome.unchecked,
    badShare: ratio(
      kinds.reduce((sum, { badTotal }) => sum + badTotal, 0),
      outcome.tasks,
    ),
    demandOverhead,
    idleOverhead: overheadOf(outcome.idleTime),
    overheadByDay: Array.from({ length: Math.ceil(outcome.hours.length / 24) }, (_, day) =>
      overheadOf(sumOf(outcome.hours.slice(24 * day, 24 * (day + 1)).map(({ work }) => work))),
    ),
    honestLoss,
    bestAttack,
    goals: {
      demandOverhead: (demandOverhead ?? 0) <= MAX_DEMAND_OVERHEAD,
      noAttackPays: bestAttack <= 1,
      honestLoss: honestLoss <= MAX_HONEST_LOSS,
    },
  };
}

function summaryOf(kind: Kind, of: KindOutcome, honest: KindOutcome | undefined, days: number): KindSummary {
  const badTotal = LEVELS.reduce((sum, level) => sum + of.bad[level], 0);
  return {
    kind,
    tabs: of.tabs,
    answers: of.answers,
    bad: of.bad,
    badTotal,
    badPerTabAndDay: badTotal / of.tabs / days,
    medianBadBefore: quantile(of.badBefore, 0.5),
    p95BadBefore: quantile(of.badBefore, 0.95),
    medianChecksBefore: quantile(of.checksBefore, 0.5),
    falseAccepts: of.falseAccepts,
    falseRejects: of.falseRejects,
    quarantines: of.quarantines,
    bans: of.bans,
    perCompute: relative(ratio(of.earned, of.computed), honest && ratio(honest.earned, honest.computed)),
    perHour: relative(ratio(of.earned, of.speed), honest && ratio(honest.earned, honest.speed)),
  };
}

/** Tabs in quarantine could serve nobody, so what they run takes nothing from users. */
function overheadOf({ users, checks, networkTasks }: OverheadWork): number | null {
  return users === 0 ? null : (checks + networkTasks) / users;
}

type OverheadWork = Pick<Work, 'users' | 'checks' | 'networkTasks'>;

function sumOf(works: readonly OverheadWork[]): OverheadWork {
  const total = (what: keyof OverheadWork) => works.reduce((sum, work) => sum + work[what], 0);
  return { users: total('users'), checks: total('checks'), networkTasks: total('networkTasks') };
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

function relative(value: number, honest: number | undefined): number {
  return honest === undefined ? 0 : ratio(value, honest);
}

/** The smallest value that is not exceeded by this share of the values; null when there are none. */
function quantile(values: readonly number[], share: number): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}

const percent = (share: number, digits = 1) => `${(100 * share).toFixed(digits)} %`;
const orDash = (value: number | null) => (value === null ? '–' : String(value));

/** Columns of the table, and what they show of a kind. */
const COLUMNS: readonly (readonly [string, (of: KindSummary) => string])[] = [
  ['kind', ({ kind }) => kind],
  ['tabs', ({ tabs }) => String(tabs)],
  ['answers', ({ answers }) => String(answers)],
  ['bad: none', ({ bad }) => String(bad.none)],
  ['basic', ({ bad }) => String(bad.basic)],
  ['cross', ({ bad }) => String(bad.cross)],
  ['strict', ({ bad }) => String(bad.strict)],
  ['bad/tab/day', ({ badPerTabAndDay }) => badPerTabAndDay.toFixed(2)],
  ['before caught: median', ({ medianBadBefore }) => orDash(medianBadBefore)],
  ['p95', ({ p95BadBefore }) => orDash(p95BadBefore)],
  ['checks', ({ medianChecksBefore }) => orDash(medianChecksBefore)],
  ['quarantines', ({ quarantines }) => String(quarantines)],
  ['bans', ({ bans }) => String(bans)],
  ['false accepts', ({ falseAccepts }) => String(falseAccepts)],
  ['false rejects', ({ falseRejects }) => String(falseRejects)],
  ['pay/compute', ({ perCompute }) => percent(perCompute)],
  ['pay/hour', ({ perHour }) => percent(perHour)],
];

export function tableOf(summary: TrustSummary): string {
  const rows = [COLUMNS.map(([title]) => title), ...summary.kinds.map((kind) => COLUMNS.map(([, cell]) => cell(kind)))];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
    )
    .join('\n');
}

export function goalsOf(summary: TrustSummary): string {
  const { goals, demandOverhead, idleOverhead, honestLoss, bestAttack } = summary;
  const line = (isMet: boolean, text: string) => `${isMet ? 'met   ' : 'MISSED'}  ${text}`;
  const overhead = (share: number | null) => (share === null ? 'nothing was asked then' : percent(share, 2));
  return [
    line(
      goals.demandOverhead,
      `overhead while tabs are short: ${overhead(demandOverhead)} (at most ${percent(MAX_DEMAND_OVERHEAD)}); otherwise, on idle tabs: ${overhead(idleOverhead)}`,
    ),
    line(goals.noAttackPays, `the best attack earns ${percent(bestAttack)} of what honesty earns (at most 100 %)`),
    line(
      goals.honestLoss,
      `honest tabs lose ${percent(honestLoss, 3)} of their pay (at most ${percent(MAX_HONEST_LOSS)})`,
    ),
  ].join('\n');
}
