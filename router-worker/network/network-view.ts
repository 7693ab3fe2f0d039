import type { Independence } from '../../shared/checking/draw.ts';
import type { Sure } from '../../shared/checking/verdict.ts';
import { TYPICAL_TOKENS } from '../pool/live-pool.ts';
import type { Look } from './live-view.ts';
import type { Figures } from './network-figures.ts';
import { KEPT_POINTS, MINUTE_MS, type NetworkHistory } from './network-history.ts';
import type { Point } from './network-store.ts';

/** Tasks that are shown as recent. */
const SHOWN_RECENT = 30;

type Speeds = Readonly<Record<'unmeasured' | 'slow' | 'steady' | 'fast', number>>;

/** `GET /v1/network`. No tab by name, nobody who asks, no level, no rate of checks, no id that opens a receipt. */
export interface NetworkView {
  readonly object: 'network';
  /** When the pool was looked at, epoch ms. */
  readonly at: number;
  readonly tabs: number;
  readonly free_tabs: number;
  /** Networks that the tabs are on: how far apart checkers can be. */
  readonly networks: number;
  readonly waiting: number;
  readonly tokens_per_second: number;
  /** Objects that hold the tabs, and those of them that did not answer: what they hold is not in these figures. */
  readonly pools: number;
  readonly silent_pools: number;
  readonly models: readonly {
    readonly id: string;
    readonly tabs: number;
    readonly free_tabs: number;
    readonly check_only_tabs: number;
    readonly tokens_per_second: number;
    /** Tabs by how fast they write: below 5 tokens per second, below 20, and faster. */
    readonly speeds: Speeds;
    readonly waiting: number;
    /** For an answer of `for_tokens`; null when nobody can tell. */
    readonly expected_wait_ms: number | null;
    readonly for_tokens: number;
    readonly classes: readonly {
      readonly id: string;
      readonly tabs: number;
      readonly free_tabs: number;
      readonly check_only_tabs: number;
      readonly tokens_per_second: number;
      readonly speeds: Speeds;
    }[];
  }[];
  readonly last_hour: Totals;
  readonly last_day: Totals;
  readonly recent: readonly {
    /** Entry of the receipt in the public log: `GET /v1/log/inclusion?entry=`. */
    readonly entry: string;
    /** Begin of the minute in which it ended, epoch ms. */
    readonly minute: number;
    readonly model: string;
    readonly variant: string;
    readonly answered: boolean;
    readonly sure: Sure;
    readonly independence: Independence | null;
  }[];
}

export interface Totals {
  readonly answers: number;
  readonly unanswered: number;
  readonly tokens: number;
  readonly sure: Readonly<Record<Sure, number>>;
  /** Checked answers by how far apart the two tabs are known to be. */
  readonly independence: Readonly<Record<Independence, number>>;
  /** Bytes of answers by each way from the tab. */
  readonly relay_bytes: number;
  readonly direct_bytes: number;
}

/** `GET /v1/network/history`: by the minute and by the hour, the oldest first; of a time when nothing was seen there is no point. */
export interface HistoryView {
  readonly object: 'network.history';
  readonly minutes: readonly PointView[];
  readonly hours: readonly PointView[];
  readonly kept: Readonly<Record<'minutes' | 'hours', number>>;
}

export interface PointView extends Totals {
  readonly at: number;
  /** Means of what was there; null where nobody looked. */
  readonly tabs: number | null;
  readonly free_tabs: number | null;
  readonly waiting: number | null;
}

export function networkView(
  history: NetworkHistory,
  { at, pool }: Look,
  { pools, silent }: { readonly pools: number; readonly silent: number },
): NetworkView {
  const models = pool.models.map(({ model, tabs, free, checkers, classes, speeds, waiting, ...live }) => ({
    id: model,
    tabs,
    free_tabs: free,
    check_only_tabs: checkers,
    tokens_per_second: rounded(live.tokensPerSecond),
    speeds,
    waiting,
    expected_wait_ms: live.expectedWaitMs,
    for_tokens: TYPICAL_TOKENS,
    classes: classes.map((entry) => ({
      id: entry.class,
      tabs: entry.tabs,
      free_tabs: entry.free,
      check_only_tabs: entry.checkers,
      tokens_per_second: rounded(entry.tokensPerSecond),
      speeds: entry.speeds,
    })),
  }));
  return {
    object: 'network',
    at,
    tabs: pool.tabs,
    free_tabs: pool.free,
    networks: pool.networks,
    waiting: pool.waiting,
    tokens_per_second: rounded(pool.tokensPerSecond),
    pools,
    silent_pools: silent,
    models,
    last_hour: totalsOf(history.last('hour')),
    last_day: totalsOf(history.last('day')),
    recent: history.recent(SHOWN_RECENT).map(({ entry, endedAt, model, variant, answered, sure, independence }) => ({
      entry,
      minute: endedAt - (endedAt % MINUTE_MS),
      model,
      variant,
      answered,
      sure,
      independence,
    })),
  };
}

export function historyView(history: NetworkHistory): HistoryView {
  return {
    object: 'network.history',
    minutes: history.points('minute').map(pointOf),
    hours: history.points('hour').map(pointOf),
    kept: { minutes: KEPT_POINTS.minute, hours: KEPT_POINTS.hour },
  };
}

function pointOf({ at, figures }: Point): PointView {
  const { samples, tabs, free, waiting } = figures;
  const mean = (sum: number) => (samples === 0 ? null : rounded(sum / samples));
  return { at, tabs: mean(tabs), free_tabs: mean(free), waiting: mean(waiting), ...totalsOf(figures) };
}

function totalsOf(figures: Figures): Totals {
  const { answers, unanswered, tokens, verified, likely, unverified, disputed, refuted } = figures;
  return {
    answers,
    unanswered,
    tokens,
    sure: { verified, likely, unverified, disputed, refuted },
    independence: { key: figures.byKey, owner: figures.byOwner, network: figures.byNetwork },
    relay_bytes: figures.relayBytes,
    direct_bytes: figures.directBytes,
  };
}

/** To a tenth. */
function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
