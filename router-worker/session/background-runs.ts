import { ShoalError } from '../../shared/errors.ts';

/** A request that goes on without its client: what its endpoint must know of it. The prompt is in memory only. */
export interface BackgroundCall {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** How it began: under this id, or it was refused as any other would have been. */
export type BackgroundStart =
  | { readonly task: string }
  | { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: string };

export interface BackgroundPorts {
  /** Puts the request to the router's own surface. `named` hears of its task as soon as that may be given to a tab. */
  readonly run: (call: BackgroundCall, named: (task: string) => void) => Promise<BackgroundReply>;
  /** The task has its name; it is over. */
  readonly begun: (task: string) => void;
  readonly over: (task: string) => void;
  /** The task was refused, or failed, after it had its name: whoever asks for its answer is to hear why. */
  readonly failed: (task: string, error: unknown) => Promise<void>;
  readonly log: (event: string, fields: Readonly<Record<string, string>>) => void;
}

export interface BackgroundReply {
  readonly response: Response;
  /** Resolves when what goes on after the answer, its check, is over. Never rejects. */
  readonly settled: Promise<void>;
}

/** Requests of one session that run in the background at a time: each holds a prompt of up to 1 MiB, some times over, in the 128 MB of the session's object. */
export const MAX_BACKGROUND_RUNS = 16;

/** When a run may have ended, ms. */
const BUSY_RETRY_MS = 2_000;

/** Requests that go on although nobody waits for their response. They are in memory only: what the object has begun and does not find here is lost. */
export class BackgroundRuns {
  readonly #ports: BackgroundPorts;
  readonly #tasks = new Set<string>();
  #running = 0;

  constructor(ports: BackgroundPorts) {
    this.#ports = ports;
  }

  get size(): number {
    return this.#running;
  }

  has(task: string): boolean {
    return this.#tasks.has(task);
  }

  /** Resolves when the task has its name, or was refused. Throws `session_busy`. */
  begin(call: BackgroundCall): Promise<BackgroundStart> {
    if (this.#running >= MAX_BACKGROUND_RUNS) {
      const message = `${this.#running} requests run in the background, and the session may have ${MAX_BACKGROUND_RUNS} at a time.`;
      throw new ShoalError('session_busy', message, { param: 'shoal.background', retryAfterMs: BUSY_RETRY_MS });
    }
    const start = Promise.withResolvers<BackgroundStart>();
    this.#running++;
    this.#run(call, start.resolve)
      .catch((cause) => {
        // The kind of the fault only: its message may quote what was asked.
        this.#ports.log('background_run_failed', { reason: cause instanceof Error ? cause.name : typeof cause });
        start.reject(ShoalError.from(cause));
      })
      .finally(() => {
        this.#running--;
      });
    return start.promise;
  }

  async #run(call: BackgroundCall, started: (start: BackgroundStart) => void): Promise<void> {
    let task: string | null = null;
    try {
      const { response, settled } = await this.#ports.run(call, (name) => {
        task = name;
        this.#tasks.add(name);
        this.#ports.begun(name);
        started({ task: name });
      });
      const body = await response.text();
      if (task === null) started({ status: response.status, headers: Object.fromEntries(response.headers), body });
      else if (!response.ok) await this.#ports.failed(task, JSON.parse(body));
      await settled;
    } finally {
      if (task !== null) {
        this.#tasks.delete(task);
        this.#ports.over(task);
      }
    }
  }
}
