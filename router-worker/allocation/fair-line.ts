/** What a request is willing to wait. */
export const SLAS = ['fast', 'standard', 'batch'] as const;
export type Sla = (typeof SLAS)[number];

/** Share of the tabs that the work of a class gets while all classes wait. None is nought: batch goes on under any load. */
const WEIGHTS: Readonly<Record<Sla, number>> = { fast: 4, standard: 2, batch: 1 };

/** A request's place. */
export interface Place {
  readonly account: string;
  readonly sla: Sla;
  readonly since: number;
  /** Virtual time at which it would be through: the earlier, the sooner it is its turn. */
  readonly tag: number;
}

interface Account {
  waiting: number;
  /** The last tag that was given, by class: requests of one class follow each other, and classes do not wait for one another. */
  readonly lastTags: Map<Sla, { tag: number; waiting: number }>;
}

/**
 * A line that is fair between accounts: self-clocked fair queueing (Golestani, 1994). A request is tagged with the virtual time at which it would be through
 * if its account had its share all to itself: after what the account has asked before, or now, plus its cost over the weight of its class. The lowest
 * tag is next. Whoever has much in the line waits for its own work, and others do not. Tags stay, and virtual time goes on with every request that is served,
 * so nobody waits for ever.
 */
export class FairLine {
  readonly #accounts = new Map<string, Account>();
  #now = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  waitingOf(account: string): number {
    return this.#accounts.get(account)?.waiting ?? 0;
  }

  /** `cost`: expected work, in any unit that is the same for all. */
  join(account: string, sla: Sla, cost: number, since: number): Place {
    const known = this.#accounts.get(account) ?? { waiting: 0, lastTags: new Map() };
    this.#accounts.set(account, known);
    const last = known.lastTags.get(sla) ?? { tag: 0, waiting: 0 };
    known.lastTags.set(sla, last);
    known.waiting++;
    last.waiting++;
    this.#length++;
    // Whoever asks in several classes at once has its share in all of them together.
    const classes = [...known.lastTags.values()].filter(({ waiting }) => waiting > 0).length;
    last.tag = Math.max(last.tag, this.#now) + (cost * classes) / WEIGHTS[sla];
    return { account, sla, since, tag: last.tag };
  }

  served(place: Place): void {
    this.#now = Math.max(this.#now, place.tag);
    this.left(place);
  }

  left({ account, sla }: Place): void {
    const known = this.#accounts.get(account);
    const last = known?.lastTags.get(sla);
    if (known === undefined || last === undefined) return;
    known.waiting--;
    last.waiting--;
    this.#length--;
    // An account that waits for nothing and owes nothing is like one that never came; and where nobody waits, there is nobody to be fair to.
    const owes = [...known.lastTags.values()].some(({ tag }) => tag > this.#now);
    if (known.waiting === 0 && !owes) this.#accounts.delete(account);
    if (this.#length === 0) this.#accounts.clear();
  }
}
