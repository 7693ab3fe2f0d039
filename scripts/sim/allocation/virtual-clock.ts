interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** Time that passes only from one event to the next, ms. Events of one instant happen in the order in which they were planned. */
export class VirtualClock {
  readonly #heap: Event[] = [];
  #planned = 0;
  #now = 0;

  get now(): number {
    return this.#now;
  }

  at(at: number, run: () => void): void {
    const event = { at: Math.max(at, this.#now), order: this.#planned++, run };
    let child = this.#heap.length;
    this.#heap.push(event);
    while (child > 0) {
      const parent = (child - 1) >> 1;
      const above = this.#heap[parent];
      if (above === undefined || isBefore(above, event)) break;
      this.#heap[child] = above;
      child = parent;
    }
    this.#heap[child] = event;
  }

  after(ms: number, run: () => void): void {
    this.at(this.#now + ms, run);
  }

  /** Runs until `isOver`, or until nothing is planned. */
  run(isOver: () => boolean): void {
    while (!isOver()) {
      const event = this.#pop();
      if (event === null) return;
      this.#now = event.at;
      event.run();
    }
  }

  #pop(): Event | null {
    const [first] = this.#heap;
    const last = this.#heap.pop();
    if (first === undefined || last === undefined) return null;
    if (this.#heap.length === 0) return first;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      let below = this.#heap[child];
      const right = this.#heap[child + 1];
      if (below !== undefined && right !== undefined && isBefore(right, below)) {
        child++;
        below = right;
      }
      if (below === undefined || isBefore(last, below)) break;
      this.#heap[parent] = below;
      parent = child;
    }
    this.#heap[parent] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
