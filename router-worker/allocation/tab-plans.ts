interface Planned {
  readonly tab: string;
  readonly tag: number;
  readonly workMs: number;
  /** What it counts for beside the wait. */
  readonly restMs: number;
}

/** Who waits for a tab, as one request sees it. */
export interface TabLine {
  /** Work of those who go first, ms. */
  readonly beforeMs: number;
  /** Those who would have to let it go first. */
  readonly behind: number;
}

export const NOBODY_WAITS: TabLine = { beforeMs: 0, behind: 0 };

/** Which tab each request waits for, and what is before it there. */
export class TabPlans<W> {
  readonly #plans = new Map<W, Planned>();
  readonly #byTab = new Map<string, Map<W, Planned>>();

  set(request: W, plan: Planned): void {
    this.delete(request);
    this.#plans.set(request, plan);
    const onTab = this.#byTab.get(plan.tab) ?? new Map<W, Planned>();
    onTab.set(request, plan);
    this.#byTab.set(plan.tab, onTab);
  }

  get(request: W): Planned | undefined {
    return this.#plans.get(request);
  }

  delete(request: W): void {
    const plan = this.#plans.get(request);
    if (plan === undefined) return;
    this.#plans.delete(request);
    const onTab = this.#byTab.get(plan.tab);
    onTab?.delete(request);
    if (onTab?.size === 0) this.#byTab.delete(plan.tab);
  }

  /** Everybody who waits for this tab. */
  of(tab: string): W[] {
    return [...(this.#byTab.get(tab)?.keys() ?? [])];
  }

  /** Those who have a plan: who has had it longest comes first. */
  get oldestFirst(): Iterable<W> {
    return this.#plans.keys();
  }

  /** Who waits for this tab beside a request of this tag. */
  lineOn(tab: string, tag: number): TabLine {
    const onTab = this.#byTab.get(tab);
    if (onTab === undefined) return NOBODY_WAITS;
    let beforeMs = 0;
    let behind = 0;
    for (const plan of onTab.values()) {
      if (plan.tag < tag) beforeMs += plan.workMs;
      else if (plan.tag > tag) behind++;
    }
    return { beforeMs, behind };
  }

  /** Who is next on this tab; null when nobody waits for it. */
  nextOn(tab: string): W | null {
    let next: { readonly request: W; readonly tag: number } | null = null;
    for (const [request, { tag }] of this.#byTab.get(tab) ?? []) {
      if (next === null || tag < next.tag) next = { request, tag };
    }
    return next?.request ?? null;
  }
}
