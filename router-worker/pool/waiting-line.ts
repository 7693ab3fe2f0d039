import { MAX_BATCH_WAIT_MS, MAX_WAIT_MS, MAX_WAITING_REQUESTS } from '../../shared/limits.ts';
import type { Allocator, Seat } from '../allocation/allocator.ts';
import type { Sla } from '../allocation/fair-line.ts';
import { askedOf } from './asked-of.ts';
import type { LeaseWant } from './pool-ports.ts';
import type { TaskStream } from './task-stream.ts';

export interface WaitingRequest {
  readonly want: LeaseWant;
  readonly stream: TaskStream;
}

const LONGEST_MS: Readonly<Record<Sla, number>> = {
  fast: MAX_WAIT_MS,
  standard: MAX_WAIT_MS,
  batch: MAX_BATCH_WAIT_MS,
};

/** How often somebody whose place did not change hears of it all the same, ms: its estimate did. */
const TELL_EVERY_MS = 5_000;

/** Requests that wait for a tab, as their clients see them: bounded in number and time, told their place and when it will be their turn. */
export class WaitingLine {
  readonly #allocator: Allocator<WaitingRequest>;
  readonly #seats: () => readonly Seat[];
  readonly #now: () => number;
  readonly #told = new Map<WaitingRequest, { readonly ahead: number; readonly at: number }>();

  constructor(allocator: Allocator<WaitingRequest>, seats: () => readonly Seat[], now: () => number) {
    this.#allocator = allocator;
    this.#seats = seats;
    this.#now = now;
  }

  get length(): number {
    return this.#told.size;
  }

  /** The classes that could serve each of those who wait. */
  get classes(): readonly (readonly string[])[] {
    return [...this.#told.keys()].map(({ want }) => askedOf(want).classes);
  }

  /** Requests in line, by the model that was asked for. */
  byModel(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { want } of this.#told.keys()) {
      const { model } = askedOf(want);
      counts.set(model, (counts.get(model) ?? 0) + 1);
    }
    return counts;
  }

  /** A request that could not be served at once. Returns the one that has to go because the line is full: it may be this one. */
  stay(request: WaitingRequest): WaitingRequest | null {
    const limit = Math.max(MAX_WAITING_REQUESTS, new Set(this.#seats().map(({ tab }) => tab)).size);
    const out = this.#allocator.overflow(limit, request);
    if (out !== null) this.#told.delete(out);
    if (out !== request) this.#tell(request);
    return out;
  }

  join(request: WaitingRequest): void {
    this.#allocator.join(request, askedOf(request.want));
  }

  has(request: WaitingRequest): boolean {
    return this.#allocator.has(request);
  }

  /** It is somebody's turn, or nobody serves it any more. */
  left(request: WaitingRequest): void {
    this.#told.delete(request);
  }

  /** Its client went away. */
  leave(stream: TaskStream): void {
    for (const request of this.#told.keys()) {
      if (request.stream !== stream) continue;
      this.#allocator.leave(request);
      this.#told.delete(request);
      return;
    }
  }

  /** Takes out those that waited too long. */
  expired(): WaitingRequest[] {
    const late = this.#allocator.expired(LONGEST_MS);
    for (const request of late) this.#told.delete(request);
    return late;
  }

  /** Tells those whose place has changed, and now and then everybody. */
  tick(): void {
    for (const request of this.#told.keys()) this.#tell(request);
  }

  #tell(request: WaitingRequest): void {
    const turn = this.#allocator.turnOf(request);
    if (turn === null) return;
    const told = this.#told.get(request);
    const at = this.#now();
    if (told !== undefined && told.ahead === turn.ahead && at - told.at < TELL_EVERY_MS) return;
    this.#told.set(request, { ahead: turn.ahead, at });
    request.stream.event({ t: 'waiting', ahead: turn.ahead, etaMs: turn.etaMs });
  }
}
