import { ShoalError } from '../../shared/errors.ts';
import type { TabSocket } from './tab.ts';

/** Most control messages a second from one socket. An honest tab says about six a task, and no tab ends fifty tasks a second. */
const MAX_PER_SECOND = 300;

/** Bounds what one socket may make the pool do: the pool is one thread for everybody. Frames are not counted. */
export class MessageRate {
  readonly #now: () => number;
  readonly #windows = new WeakMap<TabSocket, { since: number; messages: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Throws `overloaded` when the socket says too much. */
  count(socket: TabSocket): void {
    const at = this.#now();
    const window = this.#windows.get(socket);
    if (window === undefined || at - window.since >= 1000) {
      this.#windows.set(socket, { since: at, messages: 1 });
      return;
    }
    window.messages++;
    if (window.messages > MAX_PER_SECOND) {
      throw new ShoalError('overloaded', `More than ${MAX_PER_SECOND} messages in a second.`);
    }
  }
}
