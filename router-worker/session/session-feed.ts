import { type Bytes, utf8 } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';

/** Where the bytes of one follower go. */
export interface FeedSink {
  /** Resolves when the bytes were taken, rejects when nobody reads any more. */
  write(bytes: Bytes): Promise<void>;
  close(): void;
  /** Nothing more is sent, not even what waits. */
  cut(): void;
}

/** Followers of one session at a time. */
export const MAX_FOLLOWERS = 8;

/** A follower is sent away after so long, ms, and comes back if it likes: its events end, and nobody is kept awake for a page that was left open. */
export const FOLLOWED_MS = 10 * 60_000;

/** Events that a slow follower may have in waiting; with one more it is cut off. */
const MAX_WAITING_EVENTS = 256;

/** Comment lines keep proxies from closing a quiet stream, ms. */
const COMMENT_EVERY_MS = 15_000;

/** Why a stream of events ends. */
export type FeedEnd = 'time_is_up' | 'session_deleted' | 'session_expired';

interface Follower {
  readonly sink: FeedSink;
  readonly since: number;
  heardAt: number;
  waiting: number;
}

/** Everybody who follows a session live, as server-sent events. Bounded in number, time and memory; the session never waits for one of them. */
export class SessionFeed {
  readonly #now: () => number;
  readonly #followers = new Set<Follower>();

  constructor(now: () => number) {
    this.#now = now;
  }

  get size(): number {
    return this.#followers.size;
  }

  get isFull(): boolean {
    return this.#followers.size >= MAX_FOLLOWERS;
  }

  /** Writes to everybody: that somebody went away shows when something is written. */
  probe(): void {
    for (const follower of this.#followers) this.#write(follower, ': still here\n\n');
  }

  /** A new follower, who is told first what there is. Gives what is called when it went away. Throws `overloaded`. */
  follow(sink: FeedSink, snapshot: readonly { readonly event: string; readonly data: object }[]): () => void {
    if (this.isFull) {
      throw new ShoalError('overloaded', `The session has ${MAX_FOLLOWERS} followers already.`, {
        retryAfterMs: 10_000,
      });
    }
    const follower: Follower = { sink, since: this.#now(), heardAt: this.#now(), waiting: 0 };
    this.#followers.add(follower);
    for (const { event, data } of snapshot) this.#write(follower, textOf(event, data));
    return () => void this.#followers.delete(follower);
  }

  tell(event: string, data: object): void {
    const text = textOf(event, data);
    for (const follower of this.#followers) this.#write(follower, text);
  }

  /** The last event of every follower, or of one. */
  end(reason: FeedEnd, followers: Iterable<Follower> = [...this.#followers]): void {
    for (const follower of followers) {
      this.#write(follower, textOf('end', { reason }));
      this.#followers.delete(follower);
      follower.sink.close();
    }
  }

  /** Looks at the clock. Called every few seconds while there are followers. */
  tick(): void {
    const at = this.#now();
    this.end(
      'time_is_up',
      [...this.#followers].filter(({ since }) => at - since >= FOLLOWED_MS),
    );
    for (const follower of this.#followers) {
      if (at - follower.heardAt >= COMMENT_EVERY_MS) this.#write(follower, ': still here\n\n');
    }
  }

  #write(follower: Follower, text: string): void {
    if (!this.#followers.has(follower)) return;
    if (follower.waiting >= MAX_WAITING_EVENTS) {
      this.#followers.delete(follower);
      follower.sink.cut();
      return;
    }
    follower.waiting++;
    follower.heardAt = this.#now();
    follower.sink.write(utf8(text)).then(
      () => {
        follower.waiting--;
      },
      () => this.#followers.delete(follower),
    );
  }
}

function textOf(event: string, data: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
