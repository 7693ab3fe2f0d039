import { type ServedVariant, variantsNamed } from '../../shared/classes/catalogue.ts';
import type { Env } from '../env.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { AllPools } from '../pool/all-pools.ts';
import type { TabKind } from '../pool/tab-roster.ts';
import { MAX_LINES_AT_ONCE } from './batch-limits.ts';

/** Of so many tabs that answer one is left to users: who asks while a batch runs does not wait for a line to end. */
const TABS_A_FREE_ONE = 4;

/** What lines of batches may take now, by what the pools have free. */
export async function roomFor(env: Env): Promise<BatchRoom> {
  const [variants, kinds] = await Promise.all([servedCatalogue(env), new AllPools(env).kinds()]);
  return new BatchRoom(variants, kinds);
}

/** The free tabs, but for those that are left to users. A tab that serves two models is taken by a line of one of them. */
export class BatchRoom {
  readonly #variants: readonly ServedVariant[];
  readonly #kinds: { readonly classes: readonly string[]; readonly tabs: number; free: number }[];

  constructor(variants: readonly ServedVariant[], kinds: readonly TabKind[]) {
    this.#variants = variants;
    this.#kinds = kinds.map(({ classes, tabs, free }) => ({ classes, tabs, free }));
  }

  /** How many lines of this model may begin now. A name that no model has may run: it is refused by name. */
  of(name: string): number {
    const serving = this.#serving(name);
    if (serving === null) return MAX_LINES_AT_ONCE;
    const sum = (figure: 'tabs' | 'free') => serving.reduce((total, kind) => total + kind[figure], 0);
    return Math.max(0, sum('free') - Math.floor(sum('tabs') / TABS_A_FREE_ONE));
  }

  /** So many lines of this model begin. They take the tabs that serve the least besides. */
  take(name: string, lines: number): void {
    const serving = this.#serving(name) ?? [];
    let left = lines;
    for (const kind of serving.toSorted((a, b) => a.classes.length - b.classes.length)) {
      const taken = Math.min(left, kind.free);
      kind.free -= taken;
      left -= taken;
    }
  }

  /** Null for a name that no model has. */
  #serving(name: string) {
    const classes = variantsNamed(this.#variants, name).map((entry) => entry.class);
    return classes.length === 0 ? null : this.#kinds.filter((kind) => kind.classes.some((id) => classes.includes(id)));
  }
}
