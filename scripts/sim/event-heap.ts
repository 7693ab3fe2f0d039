/** What happens next: a binary heap of instants, each with the index of whom it concerns. Holds a fixed number of events. */
export class EventHeap {
  readonly #at: Float64Array;
  readonly #who: Int32Array;
  #size = 0;

  constructor(capacity: number) {
    this.#at = new Float64Array(capacity);
    this.#who = new Int32Array(capacity);
  }

  /** The instant of the next event; infinity when there is none. */
  get nextAt(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#at[0] ?? Number.POSITIVE_INFINITY);
  }

  push(at: number, who: number): void {
    if (this.#size === this.#at.length) throw new RangeError('The heap is full.');
    let child = this.#size++;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      const parentAt = this.#at[parent] ?? 0;
      if (parentAt <= at) break;
      this.#at[child] = parentAt;
      this.#who[child] = this.#who[parent] ?? 0;
      child = parent;
    }
    this.#at[child] = at;
    this.#who[child] = who;
  }

  /** Takes the next event and says whom it concerns; null when there is none. */
  pop(): number | null {
    if (this.#size === 0) return null;
    const first = this.#who[0] ?? 0;
    const last = --this.#size;
    const at = this.#at[last] ?? 0;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= last) break;
      if (child + 1 < last && (this.#at[child + 1] ?? 0) < (this.#at[child] ?? 0)) child++;
      const childAt = this.#at[child] ?? 0;
      if (childAt >= at) break;
      this.#at[parent] = childAt;
      this.#who[parent] = this.#who[child] ?? 0;
      parent = child;
    }
    this.#at[parent] = at;
    this.#who[parent] = this.#who[last] ?? 0;
    return first;
  }
}
