import { RestingTabs } from '../../router-worker/pool/resting-tabs.ts';
import { mayServe, SERVING_ORDER, type Standing } from '../../router-worker/record/record.ts';
import { normal } from './seeded-random.ts';
import { newIdentity, type SimTab } from './sim-tab.ts';
import { ALL_KINDS, groupSizeOf, type Kind } from './tab-kinds.ts';
import { type KindOutcome, noOutcome } from './trust-figures.ts';

/** Speed of a tab, tokens per second, reading as writing: WebAssembly reads no faster than it writes. Log-normal: from phones to desktops. */
const SPEED = { median: 11, sigma: 0.5 };

/** Tabs behind one network prefix, on average. */
const TABS_PER_NETWORK = 4;

/** Random picks before all free tabs of a standing are looked through. */
const QUICK_PICKS = 8;

/** The tabs of a run: who they are, who of them is free, who comes and goes. */
export class Population {
  readonly tabs: readonly SimTab[];
  readonly kinds: ReadonlyMap<Kind, KindOutcome>;
  readonly resting: RestingTabs;
  /** Tokens a millisecond, of all tabs. */
  readonly capacity: number;
  readonly free: Readonly<Record<Standing, SimTab[]>> = {
    new: [],
    trusted: [],
    suspected: [],
    quarantined: [],
    banned: [],
  };
  /** Of those who may serve, in the order in which they are asked. */
  readonly freeLists: readonly (readonly SimTab[])[];
  /** Tabs that may serve, at work or not. */
  serving: number;
  /** Those of them who are trusted. */
  trusted = 0;
  readonly #random: () => number;
  readonly #now: () => number;
  #identities = 0;

  constructor(counts: Readonly<Partial<Record<Kind, number>>>, random: () => number, now: () => number) {
    this.#random = random;
    this.#now = now;
    this.resting = new RestingTabs(now);
    const present = ALL_KINDS.filter((kind) => (counts[kind] ?? 0) > 0);
    this.kinds = new Map(present.map((kind) => [kind, noOutcome(counts[kind] ?? 0)]));
    this.freeLists = SERVING_ORDER.map((standing) => this.free[standing]);
    this.tabs = this.#makeTabs();
    this.serving = this.tabs.length;
    this.capacity = this.tabs.reduce((sum, tab) => sum + tab.speed, 0);
  }

  #makeTabs(): SimTab[] {
    const kinds = [...this.kinds].flatMap(([kind, outcome]) =>
      Array.from({ length: outcome.tabs }, (_, i) => ({ kind, outcome, i })),
    );
    const networks = Math.max(2, Math.round(kinds.length / TABS_PER_NETWORK));
    let groups = 0;
    let together = '';
    return kinds.map(({ kind, outcome, i }, index) => {
      const size = groupSizeOf(kind);
      const alone = `network ${Math.floor(this.#random() * networks)}`;
      if (i % size === 0) {
        groups++;
        together = alone;
      }
      const speed = (SPEED.median * Math.exp(SPEED.sigma * normal(this.#random))) / 1000;
      outcome.speed += speed;
      const tab: SimTab = {
        index,
        kind,
        group: size > 1 ? groups : null,
        network: kind.endsWith('together') ? together : alone,
        guard: false,
        owner: null,
        speed,
        outcome,
        identity: newIdentity(this.#nextName(), 0),
        job: null,
        due: [],
        place: -1,
      };
      this.list(tab);
      return tab;
    });
  }

  #nextName(): string {
    return `tab ${this.#identities++}`;
  }

  /** The tab is free. */
  list(tab: SimTab): void {
    const list = this.free[tab.identity.standing];
    tab.place = list.length;
    list.push(tab);
  }

  /** The tab is at work, or about to change its standing. */
  unlist(tab: SimTab): void {
    if (tab.place === -1) return;
    const list = this.free[tab.identity.standing];
    const last = list.pop();
    if (last !== undefined && last !== tab) {
      list[tab.place] = last;
      last.place = tab.place;
    }
    tab.place = -1;
  }

  /** Free tabs among those that may serve, 0 … 1. */
  get idleShare(): number {
    return this.freeToServe / Math.max(1, this.serving);
  }

  get freeToServe(): number {
    return this.freeLists.reduce((sum, list) => sum + list.length, 0);
  }

  isResting(tab: SimTab): boolean {
    return this.resting.has(tab.identity.record.tab);
  }

  /** A free tab for a prompt: any of the best standing, of those that rest only when there is no other. Speed is not looked at: see docs/trust.md. */
  drawServer(): SimTab | null {
    for (const list of this.freeLists) {
      for (let i = 0; i < QUICK_PICKS && list.length > 0; i++) {
        const drawn = this.#any(list);
        if (drawn !== null && !this.isResting(drawn)) return drawn;
      }
      const drawn = this.#any(list.filter((tab) => !this.isResting(tab)));
      if (drawn !== null) return drawn;
    }
    return this.#any(this.freeLists.find((list) => list.length > 0) ?? []);
  }

  #any(list: readonly SimTab[]): SimTab | null {
    return list[Math.floor(this.#random() * list.length)] ?? null;
  }

  /** Another key sits on the device from now on. The tab must not be in a list. */
  beginAnew(tab: SimTab): void {
    if (!mayServe(tab.identity.standing)) this.serving++;
    if (tab.identity.standing === 'trusted') this.trusted--;
    tab.identity = newIdentity(this.#nextName(), this.#now());
  }

  /** Somebody leaves and somebody else comes: the one who leaves takes along what was held. */
  replace(tab: SimTab): void {
    this.unlist(tab);
    tab.outcome.earned += tab.identity.escrow;
    this.beginAnew(tab);
    this.list(tab);
  }
}
