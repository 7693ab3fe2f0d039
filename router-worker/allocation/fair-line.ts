/** What a request is willing to wait. */
export const SLAS = ['fast', 'standard', 'batch'] as const;
export type Sla = (typeof SLAS)[number];

/**
 * Share of the tabs that the work of a class gets while all classes wait. None is nought: batch goes on under any load.
 */
const WEIGHTS: Readonly<Record<Sla, number>> = { fast: 4, standard: 2, batch: 1 };

/** Among the requests of one account, those of a class go after the ones that came so much later in the class before, ms: waiting makes up for the class. */
const PATIENCE_MS: Readonly<Record<Sla, number>> = { fast: 0, standard: 2_000, batch: 60_000 };

export interface Place<R> {
  readonly request: R;
  readonly account: string;
  readonly sla: Sla;
  /** Expected work, in any unit that is the same for all. */
  readonly cost: number;
  readonly since: number;
}

interface Account<R> {
  /** Everybody of this account, in the order in which they are served. */
  readonly places: Place<R>[];
  /** Virtual time at which its next request starts. */
  start: number;
}

/**
 * A line that is fair between accounts: self-clocked fair queueing (Golestani, 1994). The head of each account has a virtual end, its start and its cost
 * over the weight of its class; the earliest end is next. Whoever has much in the line waits for its own work, not others for it. Virtual time moves with
 * every request that is served, so nobody waits for ever.
 */
export class FairLine<R> {
  readonly #accounts = new Map<string, Account<R>>();
  readonly #accountOf = new Map<R, string>();
  #now = 0;

  get length(): number {
    return this.#accountOf.size;
  }

  waitingOf(account: string): number {
    return this.#accounts.get(account)?.places.length ?? 0;
  }

  join(place: Place<R>): void {
    const account = this.#accounts.get(place.account) ?? { places: [], start: this.#now };
    if (account.places.length === 0) account.start = Math.max(account.start, this.#now);
    const later = account.places.findLastIndex((other) => turnOf(other) <= turnOf(place));
    account.places.splice(later + 1, 0, place);
    this.#accounts.set(place.account, account);
    this.#accountOf.set(place.request, place.account);
  }

  /** Takes a request out; `false` when it is not in the line. `served`: its account is charged. */
  take(request: R, how: 'served' | 'left'): boolean {
    const name = this.#accountOf.get(request);
    const account = name === undefined ? undefined : this.#accounts.get(name);
    const at = account?.places.findIndex((place) => place.request === request) ?? -1;
    const place = account?.places[at];
    if (name === undefined || account === undefined || place === undefined) return false;
    if (how === 'served') {
      account.start = endOf(account.start, place);
      this.#now = Math.max(this.#now, account.start);
    }
    account.places.splice(at, 1);
    this.#accountOf.delete(request);
    if (account.places.length === 0 && account.start <= this.#now) this.#accounts.delete(name);
    if (this.#accountOf.size === 0) this.#accounts.clear(); // Nobody waits: there is nobody to be fair to.
    return true;
  }

  /** The first `most` in the order in which they are served. The line must not change meanwhile. */
  *inOrder(most = Number.POSITIVE_INFINITY): Generator<Place<R>, void, undefined> {
    const queues = [...this.#accounts.values()]
      .filter(({ places }) => places.length > 0)
      .map(({ places, start }) => ({ places, start, at: 0 }));
    for (let given = 0; given < most; given++) {
      let next: { readonly queue: (typeof queues)[number]; readonly place: Place<R>; readonly end: number } | null =
        null;
      for (const queue of queues) {
        const place = queue.places[queue.at];
        if (place === undefined) continue;
        const end = endOf(queue.start, place);
        if (next === null || end < next.end || (end === next.end && place.since < next.place.since)) {
          next = { queue, place, end };
        }
      }
      if (next === null) return;
      next.queue.start = next.end;
      next.queue.at++;
      yield next.place;
    }
  }

  /** The last request of the account that has the most in the line: the one that gives way when the line is full. */
  longest(): Place<R> | null {
    let most: Account<R> | null = null;
    for (const account of this.#accounts.values()) {
      if (account.places.length > (most?.places.length ?? 0)) most = account;
    }
    return most?.places.at(-1) ?? null;
  }

  /** Those that have waited longer than their class allows, ms. They stay until they are taken out. */
  expired(at: number, longestMs: Readonly<Record<Sla, number>>): Place<R>[] {
    return [...this.#accounts.values()].flatMap(({ places }) =>
      places.filter(({ since, sla }) => at - since >= longestMs[sla]),
    );
  }
}

function endOf<R>(start: number, { cost, sla }: Place<R>): number {
  return start + cost / WEIGHTS[sla];
}

function turnOf<R>({ since, sla }: Place<R>): number {
  return since + PATIENCE_MS[sla];
}
