import { MAX_WAIT_MS, MAX_WAITING_REQUESTS } from '../../shared/limits.ts';
import type { LeaseWant } from './pool-ports.ts';
import type { TaskStream } from './task-stream.ts';

export interface WaitingRequest {
  readonly want: LeaseWant;
  readonly stream: TaskStream;
  readonly since: number;
}

/** Requests that wait for a free tab: first come, first served, bounded in number and time. */
export class WaitingLine {
  readonly #requests: WaitingRequest[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  get length(): number {
    return this.#requests.length;
  }

  /** `false` when the line is full. */
  join(want: LeaseWant, stream: TaskStream): boolean {
    if (this.#requests.length >= MAX_WAITING_REQUESTS) return false;
    stream.event({ t: 'waiting', ahead: this.#requests.length });
    this.#requests.push({ want, stream, since: this.#now() });
    return true;
  }

  /** Its client went away. */
  leave(stream: TaskStream): void {
    const at = this.#requests.findIndex((request) => request.stream === stream);
    if (at >= 0) this.#requests.splice(at, 1);
  }

  /** Tries each in order; those that are settled, or whose client left, leave the line. */
  serve(settle: (request: WaitingRequest) => boolean): void {
    const waiting = this.#requests.splice(0);
    for (const request of waiting) {
      if (request.stream.isOpen && !settle(request)) this.#requests.push(request);
    }
  }

  /** Takes out those that waited too long. */
  expired(): WaitingRequest[] {
    const at = this.#now();
    const late = this.#requests.filter((request) => at - request.since >= MAX_WAIT_MS);
    for (const request of late) this.#requests.splice(this.#requests.indexOf(request), 1);
    return late;
  }
}
