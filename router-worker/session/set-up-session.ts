import { ShoalError } from '../../shared/errors.ts';
import { MAX_BATCH_WAIT_MS, SUBTASK_DEADLINE_MS } from '../../shared/limits.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import { isAllowed, onDevices, type Placement } from '../../shared/protocol/placement.ts';
import { parseSessionSettings, requestOf, type SessionSettings } from '../../shared/protocol/session-api.ts';
import { taskId } from '../../shared/protocol/task-ids.ts';
import { unknownSession } from '../keys/session-ids.ts';
import type { Task } from '../task/task.ts';
import { costOfUse, judgeAdmission, type SessionUse } from './judge-admission.ts';
import type { TaskView } from './session.ts';

/** What a request asks of its session before any tab is troubled. */
export interface AdmissionOrder {
  readonly task: TaskTail;
  /** Most tokens that it can have, and what they cost, micro-credits. */
  readonly tokensAtMost: number;
  readonly price: number;
  /** Tasks like this that are asked about, where none is begun: 1 where it is left out. */
  readonly tasks?: number;
  /** The devices of the session's account now, where only these may read: see {@link SessionSettings}. */
  readonly devices?: readonly string[];
}

/** A task that waits for a tab: there is nothing to say of it yet. */
export interface QueuedTaskView {
  readonly id: string;
  readonly object: 'task';
  readonly status: 'queued';
  readonly created_at: number;
}

/** How long an admitted task may wait for its tab, ms: the line of the pool, and the envelope; then its place is given back. */
const WAITING_MS = MAX_BATCH_WAIT_MS + 30_000;

/** A request needs so long from its admission to the pool, ms: its money may have to be drawn meanwhile. Before that the pool cannot know it. */
const ON_ITS_WAY_MS = 5_000;

/** How long a session that is over is remembered, ms: a task of it that was still on its way must find it closed. */
const TOMBSTONE_MS = SUBTASK_DEADLINE_MS;

type AdmittedState = 'waiting' | 'answering' | 'checking' | 'over';

interface SetUpRow extends Record<string, SqlStorageValue> {
  readonly id: string;
  readonly owner: string;
  readonly created_at: number;
  readonly expires_at: number;
  /** Micro-credits of tasks that ended; tasks that were admitted. */
  readonly spent: number;
  readonly tasks: number;
  readonly settings: string;
  /** When it was deleted or expired; null while it lives. */
  readonly gone_at: number | null;
}

interface AdmittedRow extends Record<string, SqlStorageValue> {
  readonly seq: number;
  readonly tail: TaskTail;
  readonly admitted_at: number;
  readonly state: AdmittedState;
  /** Micro-credits: set aside; of a task that is over, what it cost. */
  readonly held: number;
  readonly tokens: number;
  readonly placement: string;
}

/**
 * A session that somebody set up: its settings, the tasks that it admitted, and what they may cost. An implicit session has none of this. Synchronous, every step
 * one transaction of its object.
 */
export class SetUpSession {
  readonly #sql: SqlStorage;
  readonly #now: () => number;
  readonly #onDue: (at: number) => void;
  /** Whether there are tables: an implicit session has none, and costs nothing more for what it is not. */
  #isMade: boolean;

  constructor(sql: SqlStorage, now: () => number, onDue: (at: number) => void) {
    this.#sql = sql;
    this.#now = now;
    this.#onDue = onDue;
    this.#isMade = sql.exec("SELECT name FROM sqlite_master WHERE name = 'set_up'").toArray().length > 0;
  }

  #make(): void {
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS set_up (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        id TEXT NOT NULL,
        owner TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        spent INTEGER NOT NULL,
        tasks INTEGER NOT NULL,
        settings TEXT NOT NULL,
        gone_at INTEGER
      );
      CREATE TABLE IF NOT EXISTS admitted (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        tail TEXT NOT NULL UNIQUE,
        admitted_at INTEGER NOT NULL,
        state TEXT NOT NULL,
        held INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        placement TEXT NOT NULL
      );
    `);
    this.#isMade = true;
  }

  create(id: string, owner: string, settings: SessionSettings): void {
    const at = this.#now();
    this.#make();
    this.#sql.exec(
      'INSERT INTO set_up (one, id, owner, created_at, expires_at, spent, tasks, settings) VALUES (1, ?, ?, ?, ?, 0, 0, ?)',
      id,
      owner,
      at,
      at + settings.lifeS * 1000,
      JSON.stringify(settings),
    );
    this.#onDue(at + settings.lifeS * 1000);
  }

  /** The settings of the owner's session. Throws `session_not_found`, to any other owner too. */
  settings(owner: string): SessionSettings {
    return JSON.parse(this.#living(owner).settings) as SessionSettings;
  }

  /** Changes what the body names, or nothing. What is under way goes on as it was admitted. Throws what is wrong with it. */
  patch(owner: string, body: unknown): SessionSettings {
    const before = this.#living(owner);
    const current = JSON.parse(before.settings) as SessionSettings;
    const settings = parseSessionSettings(body, current);
    // The life counts from the change that names it.
    const isRenewed = typeof body === 'object' && body !== null && 'expires_in_s' in body;
    const expiresAt = isRenewed ? this.#now() + settings.lifeS * 1000 : before.expires_at;
    this.#sql.exec('UPDATE set_up SET settings = ?, expires_at = ?', JSON.stringify(settings), expiresAt);
    this.#onDue(expiresAt);
    return settings;
  }

  /** `GET /v1/sessions/:id`. */
  view(owner: string) {
    const row = this.#living(owner);
    const settings = JSON.parse(row.settings) as SessionSettings;
    const use = this.#use(row);
    const { level, checks, deadlineMs, budget, priceCeiling, maxTasks, model, placement, tabs } = settings;
    return {
      id: row.id,
      object: 'session' as const,
      status: 'active' as const,
      created_at: row.created_at,
      expires_at: row.expires_at,
      ...requestOf(settings),
      // What is not bounded is said to be null.
      model,
      tabs,
      level,
      checks,
      budget,
      price_ceiling: priceCeiling,
      max_tasks: maxTasks,
      deadline_ms: deadlineMs,
      placement: {
        regions: [],
        own_devices_only: placement.ownDevicesOnly ?? false,
        allow: placement.allow,
        block: placement.block,
      },
      use: {
        tasks: use.tasks,
        answering: use.answering,
        unit: 'micro-credit',
        spent: use.spent,
        held: use.held,
        free: budget === null ? null : Math.max(0, budget - use.spent - use.held),
      },
    };
  }

  /**
   * Whether a task may begin, and its place when it may; with `dry` the place is not taken. Throws `session_not_found`, `session_exhausted` or `session_busy`.
   */
  admit(owner: string, order: AdmissionOrder, dry: boolean): void {
    const row = this.#living(owner);
    const settings = JSON.parse(row.settings) as SessionSettings;
    const refusal = judgeAdmission(settings, this.#use(row), order.price, order.tasks);
    if (refusal !== null) throw refusal;
    if (dry) return;
    const at = this.#now();
    // Where nobody said which devices there are, none may read: the session was bound to them a moment ago.
    const placement = settings.placement.ownDevicesOnly
      ? onDevices(settings.placement, order.devices ?? [])
      : settings.placement;
    this.#sql.exec(
      "INSERT OR IGNORE INTO admitted (tail, admitted_at, state, held, tokens, placement) VALUES (?, ?, 'waiting', ?, ?, ?)",
      order.task,
      at,
      order.price,
      order.tokensAtMost,
      JSON.stringify(placement),
    );
    this.#sql.exec('UPDATE set_up SET tasks = tasks + 1');
    this.#onDue(at + WAITING_MS);
  }

  /** Tasks that wait for a tab, as far as the pool must know them by now. */
  awaiting(): TaskTail[] {
    return this.#rows("state = 'waiting' AND admitted_at <= ?", this.#now() - ON_ITS_WAY_MS).map(({ tail }) => tail);
  }

  /** These never got a tab: they were refused, or whoever asked went away. They do not count. Gives those of them that had a place. */
  release(tails: readonly TaskTail[]): TaskTail[] {
    if (!this.#isMade) return [];
    return tails.filter((tail) => {
      const { rowsWritten } = this.#sql.exec("DELETE FROM admitted WHERE tail = ? AND state = 'waiting'", tail);
      if (rowsWritten > 0) this.#sql.exec('UPDATE set_up SET tasks = tasks - 1');
      return rowsWritten > 0;
    });
  }

  /** A task is about to be given to a tab. Throws `session_not_found` when its session ended meanwhile, or has given its place away. */
  opened(tail: TaskTail): void {
    if (this.#row() !== null && this.#rows('tail = ?', tail).length === 0) throw unknownSession();
  }

  /** Whether this tab may read the prompt of this task. */
  mayRead(tail: TaskTail, tab: string): boolean {
    const [row] = this.#rows('tail = ?', tail);
    return row === undefined || isAllowed(JSON.parse(row.placement) as Placement, tab);
  }

  /** These parts were thrown away by the router: what they cost comes back. One that has not ended costs nothing when it does. */
  discarded(tails: readonly TaskTail[]): void {
    for (const tail of tails) {
      const [row] = this.#rows("tail = ? AND state = 'over'", tail);
      if (row === undefined) continue;
      this.#sql.exec('UPDATE set_up SET spent = MAX(0, spent - ?)', row.held);
      this.#sql.exec('UPDATE admitted SET held = 0 WHERE tail = ?', tail);
    }
  }

  /**
   * A task of the session moved on. `charged`: by the price lines of its receipt, micro-credits; null where it has none. True when it is one that was admitted here.
   */
  heard(task: Task, charged: number | null): boolean {
    const [row] = this.#rows('tail = ?', task.task);
    if (row === undefined) return false;
    const state: AdmittedState = task.phase === 'running' ? 'answering' : task.phase === 'ended' ? 'over' : 'checking';
    if (state === row.state) return true;
    this.#sql.exec('UPDATE admitted SET state = ? WHERE tail = ?', state, task.task);
    if (task.phase !== 'ended') return true;
    const cost = Math.min(row.held, charged ?? costWithoutPrice(task, row));
    this.#sql.exec('UPDATE admitted SET held = ? WHERE tail = ?', cost, task.task);
    this.#sql.exec('UPDATE set_up SET spent = spent + ?', cost);
    return true;
  }

  /** Ids of the session's tasks, the newest first. Throws `task_not_found` for an `after` that is none of them. */
  page(
    owner: string,
    after: TaskTail | null,
    limit: number,
  ): { readonly tasks: AdmittedTask[]; readonly more: boolean } {
    this.#living(owner);
    let before = Number.MAX_SAFE_INTEGER;
    if (after !== null) {
      const [row] = this.#rows('tail = ?', after);
      if (row === undefined)
        throw new ShoalError('task_not_found', 'The session has no such task.', { param: 'after' });
      before = row.seq;
    }
    const rows = this.#rows('seq < ? ORDER BY seq DESC LIMIT ?', before, limit + 1);
    return { tasks: rows.slice(0, limit).map(admittedTask), more: rows.length > limit };
  }

  /** Tasks that have not ended, the oldest first. */
  underWay(): AdmittedTask[] {
    return this.#rows("state <> 'over' ORDER BY seq").map(admittedTask);
  }

  /** Tasks whose answers are not written yet. Throws `session_not_found`. */
  running(owner: string): TaskTail[] {
    this.#living(owner);
    return this.#rows("state IN ('waiting', 'answering')").map(({ tail }) => tail);
  }

  /** The session is over: nothing more is admitted. Throws `session_not_found`. */
  end(owner: string): void {
    this.#living(owner);
    this.#bury();
  }

  /** Does what is due. True when the session has expired just now. */
  sweep(): boolean {
    if (!this.#isMade) return false;
    const at = this.#now();
    this.release(this.#rows("state = 'waiting' AND admitted_at <= ?", at - WAITING_MS).map(({ tail }) => tail));
    this.#sql.exec("DELETE FROM admitted WHERE state = 'over' AND tail NOT IN (SELECT tail FROM task)");
    const row = this.#row();
    if (row === null) return false;
    if (row.gone_at !== null && row.gone_at + TOMBSTONE_MS <= at) this.#sql.exec('DELETE FROM set_up');
    if (row.gone_at !== null || row.expires_at > at) return false;
    this.#bury();
    return true;
  }

  /** The next instant at which {@link sweep} has something to do; null when nothing is kept. */
  nextDueAt(): number | null {
    if (!this.#isMade) return null;
    const row = this.#row();
    const waiting = this.#sql
      .exec<{ at: number | null }>("SELECT MIN(admitted_at) AS at FROM admitted WHERE state = 'waiting'")
      .toArray()[0]?.at;
    const instants = [
      ...(row === null ? [] : [row.gone_at === null ? row.expires_at : row.gone_at + TOMBSTONE_MS]),
      ...(waiting == null ? [] : [waiting + WAITING_MS]),
    ];
    return instants.length === 0 ? null : Math.min(...instants);
  }

  /** Running answers go on, and are forgotten by the session: their ids still lead to them. */
  #bury(): void {
    this.#sql.exec('UPDATE set_up SET gone_at = ?', this.#now());
    this.#sql.exec("DELETE FROM admitted WHERE state IN ('waiting', 'over')");
    this.#onDue(this.#now() + TOMBSTONE_MS);
  }

  #use(row: SetUpRow): SessionUse {
    const [sums] = this.#sql
      .exec<{ held: number | null; answering: number }>(
        "SELECT SUM(held) AS held, COUNT(*) FILTER (WHERE state IN ('waiting', 'answering')) AS answering FROM admitted WHERE state <> 'over'",
      )
      .toArray();
    return { spent: row.spent, held: sums?.held ?? 0, tasks: row.tasks, answering: sums?.answering ?? 0 };
  }

  #living(owner: string): SetUpRow {
    const row = this.#row();
    const lives = row !== null && row.gone_at === null && row.expires_at > this.#now() && row.owner === owner;
    if (!lives) throw unknownSession();
    return row;
  }

  #row(): SetUpRow | null {
    return this.#isMade ? (this.#sql.exec<SetUpRow>('SELECT * FROM set_up').toArray()[0] ?? null) : null;
  }

  #rows(where: string, ...values: SqlStorageValue[]): AdmittedRow[] {
    if (!this.#isMade) return [];
    return this.#sql.exec<AdmittedRow>(`SELECT * FROM admitted WHERE ${where}`, ...values).toArray();
  }
}

function costWithoutPrice(
  { outcome, verdict, committed }: Extract<Task, { phase: 'ended' }>,
  row: AdmittedRow,
): number {
  if (outcome.value === 'failed' || verdict.value === 'invalid' || committed === null) return 0;
  const { prompt, completion } = committed.commit.tokens;
  return costOfUse(row.held, row.tokens, prompt + completion);
}

/** A task as the session lists it. */
export interface AdmittedTask {
  readonly tail: TaskTail;
  readonly queued: QueuedTaskView;
}

function admittedTask({ tail, admitted_at: createdAt }: AdmittedRow): AdmittedTask {
  return { tail, queued: { id: taskId(tail), object: 'task', status: 'queued', created_at: createdAt } };
}

export type ListedTask = TaskView | QueuedTaskView;
export type SessionView = ReturnType<SetUpSession['view']>;
