import { type ServedVariant, variantsNamed } from '../../shared/classes/catalogue.ts';
import type { Env } from '../env.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { poolStub } from '../pool/pool-address.ts';
import type { Census } from '../pool/tab-roster.ts';
import { MAX_LINES_AT_ONCE } from './batch-limits.ts';

/** Of so many tabs that answer one is left to users: who asks while a batch runs does not wait for a line to end. */
const TABS_A_FREE_ONE = 4;

/** How many lines of each model may begin now, by what the pool has free. */
export async function roomFor(env: Env, models: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const [variants, census] = await Promise.all([servedCatalogue(env), poolStub(env).census()]);
  return new Map(models.map((name) => [name, roomOf(name, variants, census)]));
}

/** As many as tabs are free, but for those that are left to users. A name that no model has may run: it is refused by name. */
export function roomOf(name: string, variants: readonly ServedVariant[], census: readonly Census[]): number {
  const classes = variantsNamed(variants, name).map((entry) => entry.class);
  if (classes.length === 0) return MAX_LINES_AT_ONCE;
  const serving = census.filter((entry) => classes.includes(entry.class));
  const tabs = serving.reduce((sum, entry) => sum + entry.tabs, 0);
  const free = serving.reduce((sum, entry) => sum + entry.free, 0);
  return Math.max(0, free - Math.floor(tabs / TABS_A_FREE_ONE));
}
