import { isErrorCode } from '../../shared/errors.ts';
import { ERROR_POLICIES } from '../../shared/refusals.ts';
import type { Batch, BatchMaker } from './batch.ts';
import { type BatchDesk, type LineOutcome, lineName } from './batch-desk.ts';
import { MAX_ATTEMPTS, MAX_LINES_AT_ONCE, RETRY_MS } from './batch-limits.ts';
import type { OpenLine, SqlBatchStore } from './batch-store.ts';
import type { BatchRoom } from './room-for.ts';

/** A request of a batch, as it is put to an endpoint. */
export interface LineCall extends BatchMaker {
  /** The same for every attempt: whoever charges for the line charges under this name. */
  readonly name: string;
  readonly endpoint: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface LineReply {
  readonly status: number;
  readonly requestId: string;
  readonly body: unknown;
  /** When the same request may succeed, ms; null when the endpoint did not say. */
  readonly retryAfterMs: number | null;
  /** Resolves when what goes on after the answer, its check, is over. Never rejects. */
  readonly settled: Promise<void>;
}

export interface LineCrewPorts {
  readonly desk: BatchDesk;
  readonly batches: SqlBatchStore;
  /** Puts a line to its endpoint. A fault of our own is thrown. */
  readonly run: (call: LineCall, signal: AbortSignal) => Promise<LineReply>;
  /** What may be taken now, after everybody else was served. */
  readonly room: () => Promise<Pick<BatchRoom, 'of' | 'take'>>;
  readonly now: () => number;
  readonly log: (event: string, fields: Readonly<Record<string, string | number>>) => void;
}

/** When the pool is asked again who is free, ms; twice as long each time that there was no room, up to the longest. A line that ends is a reason to look at once. */
const LOOK_EVERY_MS = 250;
const LONGEST_LOOK_MS = 15_000;

/** Who has to rest for longer is called again instead of sleeping, ms: an object that does nothing should not stay awake. */
const LONGEST_SLEEP_MS = 500;

/** So long a line that was begun may not have taken its tab yet, ms: it is taken off the room that the pool tells. */
const UNSEEN_MS = 300;

/** Longest rest of a line between two attempts, ms. */
const LONGEST_REST_MS = 60_000;

interface RunningLine {
  readonly line: OpenLine;
  readonly abort: AbortController;
  readonly begunAt: number;
}

/** The codes of a refusal that only says that nobody is free, or that its session has no room now: no attempt is lost by it. */
const NOBODY_FREE = ['overloaded', 'no_tab', 'session_busy'];

/** Runs the lines of one owner's batches, as many at once as there is room for. What it holds in memory may be lost at any moment: the lines' states are in SQL. */
export class LineCrew {
  readonly #ports: LineCrewPorts;
  readonly #running = new Map<string, RunningLine>();
  #settling = 0;
  /** How often there was no room, one time after the other. */
  #looks = 0;
  #wake: () => void = () => undefined;

  constructor(ports: LineCrewPorts) {
    this.#ports = ports;
  }

  /** Something changed: whoever sleeps in {@link work} looks again. */
  wake(): void {
    this.#looks = 0;
    this.#wake();
  }

  /**
   * Works until nothing is left to do for a while, or this instant has come. What runs then goes on. Returns when {@link work} is wanted again; null when no
   * line waits.
   */
  async work(until: number): Promise<number | null> {
    const { desk, now } = this.#ports;
    for (;;) {
      const more = desk.step();
      this.#stopUnwanted();
      const lookAt = more ? now() : await this.#begin();
      if (now() >= until) return now();
      if (more) {
        await new Promise((resolve) => setTimeout(resolve, 0)); // Others have their turn between two steps.
        continue;
      }
      const restMs = (lookAt ?? Number.POSITIVE_INFINITY) - now();
      if (this.#running.size === 0 && this.#settling === 0 && restMs > LONGEST_SLEEP_MS) return lookAt;
      await this.#sleep(Math.max(1, Math.min(restMs, until - now(), LONGEST_SLEEP_MS)));
    }
  }

  /** Begins what there is room for. Returns when to look again; null when no line waits. */
  async #begin(): Promise<number | null> {
    const { desk, batches, room, now } = this.#ports;
    const running = desk.running();
    const waitsUntil = running.map(({ id }) => batches.nextLineAt(id)).filter((at) => at !== null);
    if (waitsUntil.length === 0) return null;
    const earliest = Math.min(...waitsUntil);
    if (earliest > now()) return earliest;
    const free = await room();
    for (const { line, begunAt } of this.#running.values()) {
      if (now() - begunAt < UNSEEN_MS) free.take(line.model, 1);
    }
    const before = this.#running.size;
    for (const batch of desk.running()) {
      for (const model of batch.models) {
        const left = Math.min(free.of(model), MAX_LINES_AT_ONCE - this.#running.size);
        if (left <= 0) continue;
        const lines = batches.take(batch.id, model, now(), left);
        free.take(model, lines.length);
        for (const line of lines) void this.#run(line, batch);
      }
    }
    this.#looks = this.#running.size > before ? 0 : this.#looks + 1;
    return now() + Math.min(LOOK_EVERY_MS * 2 ** this.#looks, LONGEST_LOOK_MS);
  }

  /** Never throws: whatever comes of a line is its outcome. */
  async #run(line: OpenLine, batch: Batch) {
    const { desk, run, now, log } = this.#ports;
    const name = lineName(line.batch, line.number);
    const abort = new AbortController();
    this.#running.set(name, { line, abort, begunAt: now() });
    try {
      const body = desk.bodyOf(line);
      if (body === null) throw new Error('the input file is gone');
      const { endpoint, owner, payer, origin, level, session = null } = batch;
      const reply = await run({ name, endpoint, owner, payer, origin, level, session, body }, abort.signal);
      this.#follow(reply.settled);
      if (!abort.signal.aborted) this.#took(line, reply);
    } catch (cause) {
      // The kind of the fault only: its message may quote what was asked.
      log('batch_line_failed', { line: name, reason: cause instanceof Error ? cause.name : typeof cause });
      if (!abort.signal.aborted) this.#failed(line);
    } finally {
      this.#running.delete(name);
      this.wake();
    }
  }

  #took(line: OpenLine, reply: LineReply): void {
    const { desk, batches, now } = this.#ports;
    const code = codeOf(reply.body);
    if (code !== null && NOBODY_FREE.includes(code)) {
      batches.putBack(line, now() + (reply.retryAfterMs ?? RETRY_MS), false);
      return;
    }
    const mayPass = code === null ? reply.status >= 500 : isErrorCode(code) && ERROR_POLICIES[code].retryable;
    if (mayPass && line.attempts < MAX_ATTEMPTS) {
      const rest = Math.min(reply.retryAfterMs ?? RETRY_MS * 2 ** (line.attempts - 1), LONGEST_REST_MS);
      batches.putBack(line, now() + rest, true);
      return;
    }
    desk.lineEnded(line, {
      response: { status_code: reply.status, request_id: reply.requestId, body: reply.body },
      error: null,
    });
  }

  #failed(line: OpenLine): void {
    const { desk, batches, now } = this.#ports;
    if (line.attempts < MAX_ATTEMPTS) {
      batches.putBack(line, now() + RETRY_MS * 2 ** (line.attempts - 1), true);
      return;
    }
    const error = { code: 'internal_error', message: 'Something went wrong on our side, each time it was tried.' };
    const outcome: LineOutcome = { response: null, error };
    desk.lineEnded(line, outcome);
  }

  /** Lines of batches that do not run any more are stopped, and so are their tabs. */
  #stopUnwanted(): void {
    const wanted = new Set(this.#ports.desk.running().map(({ id }) => id));
    for (const { line, abort } of this.#running.values()) if (!wanted.has(line.batch)) abort.abort();
  }

  #follow(settled: Promise<void>): void {
    this.#settling++;
    void settled.then(() => {
      this.#settling--;
      this.#wake();
    });
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function codeOf(body: unknown): string | null {
  const error = typeof body === 'object' && body !== null && 'error' in body ? body.error : null;
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null;
  return typeof code === 'string' ? code : null;
}
