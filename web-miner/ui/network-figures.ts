import * as v from 'valibot';

/** `GET /v1/network` and `GET /v1/network/history`, as the pages read them. */
const speeds = v.object({ unmeasured: v.number(), slow: v.number(), steady: v.number(), fast: v.number() });
const sureWord = v.picklist(['verified', 'likely', 'unverified', 'disputed', 'refuted']);
const grade = v.picklist(['network', 'owner', 'key']);
const totals = {
  answers: v.number(),
  unanswered: v.number(),
  tokens: v.number(),
  sure: v.object({
    verified: v.number(),
    likely: v.number(),
    unverified: v.number(),
    disputed: v.number(),
    refuted: v.number(),
  }),
  independence: v.object({ network: v.number(), owner: v.number(), key: v.number() }),
  relay_bytes: v.number(),
  direct_bytes: v.number(),
};

const networkFigures = v.object({
  at: v.number(),
  tabs: v.number(),
  free_tabs: v.number(),
  networks: v.number(),
  waiting: v.number(),
  tokens_per_second: v.number(),
  models: v.array(
    v.object({
      id: v.string(),
      tabs: v.number(),
      free_tabs: v.number(),
      check_only_tabs: v.number(),
      tokens_per_second: v.number(),
      speeds,
      waiting: v.number(),
      expected_wait_ms: v.nullable(v.number()),
      for_tokens: v.number(),
    }),
  ),
  last_hour: v.object(totals),
  last_day: v.object(totals),
  recent: v.array(
    v.object({
      entry: v.string(),
      minute: v.number(),
      model: v.string(),
      variant: v.string(),
      answered: v.boolean(),
      sure: sureWord,
      independence: v.nullable(grade),
    }),
  ),
});
export type NetworkFigures = v.InferOutput<typeof networkFigures>;
export type RecentTask = NetworkFigures['recent'][number];
export type Totals = NetworkFigures['last_hour'];

const point = v.object({
  at: v.number(),
  tabs: v.nullable(v.number()),
  free_tabs: v.nullable(v.number()),
  waiting: v.nullable(v.number()),
  ...totals,
});
export type HistoryPoint = v.InferOutput<typeof point>;

const networkHistory = v.object({ minutes: v.array(point), hours: v.array(point) });
export type NetworkHistory = v.InferOutput<typeof networkHistory>;

const DEADLINE_MS = 10_000;

/** Throws `Error` with a sentence for the page when the router cannot be asked. */
export function fetchNetworkFigures(): Promise<NetworkFigures> {
  return ask('/v1/network', networkFigures);
}

export function fetchNetworkHistory(): Promise<NetworkHistory> {
  return ask('/v1/network/history', networkHistory);
}

async function ask<T>(path: string, schema: v.GenericSchema<unknown, T>): Promise<T> {
  const response = await fetch(path, { signal: AbortSignal.timeout(DEADLINE_MS) }).catch(() => null);
  if (response === null) throw new Error('The router could not be reached. Is it running?');
  const parsed = v.safeParse(schema, await response.json().catch(() => null));
  if (parsed.success) return parsed.output;
  throw new Error(`The router answered ${response.status}, and not with its figures. Reload the page in a moment.`);
}
