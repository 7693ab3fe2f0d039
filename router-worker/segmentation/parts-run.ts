import { AsyncQueue } from '../../shared/async-queue.ts';
import { type ErrorCode, ShoalError } from '../../shared/errors.ts';
import type { Lease } from '../../shared/protocol/lease.ts';
import type { SealedTask, TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';
import type { PartWord } from '../billing/grant.ts';
import {
  countParts,
  EMPTY_SCHEDULE,
  type PartCounts,
  type PartDecision,
  type PartEvent,
  type PartSchedule,
  stepParts,
} from './part-schedule.ts';

/** How often late parts are looked for, ms. */
const LOOK_EVERY_MS = 200;

/** What says of an answer that its reader has no use for it, whatever its tab has committed to. */
const CANNOT_BE_GIVEN: readonly ErrorCode[] = ['integrity_failed', 'answer_disputed'];

/** What an attempt at a part needs. */
export interface AttemptWant<P> {
  readonly prompt: P;
  readonly avoid: readonly string[];
  /** The class that has to go on with what was shown already; null: any that the prompt allows. */
  readonly class: string | null;
}

/** A task at work on a part. */
export interface OpenedAttempt {
  readonly task: Pick<SealedTask, 'salt' | 'stop' | 'finished'>;
  readonly updates: AsyncGenerator<TaskUpdate, void, undefined>;
  /** What became of it, once: whoever asked pays for what it was given. Without a word it was given. */
  tell(word: PartWord): void;
}

export interface PartsPort<P> {
  /** Opens a task for each, in order and in one call of the pool; the pool may take no more than the first of them. */
  open(wants: readonly AttemptWant<P>[]): Promise<readonly OpenedAttempt[]>;
  readonly now: () => number;
}

export interface PartOptions {
  /** Parts of one group run on different tabs. */
  readonly group?: string;
  /** Whether text is told as it comes, not when the part is whole. */
  readonly isLive?: boolean;
}

interface AttemptAtWork<P> {
  readonly id: number;
  readonly part: RunningPart<P>;
  opened: OpenedAttempt | null;
  isStopped: boolean;
  word: PartWord | null;
  lease: Lease | null;
  text: string;
  tokens: number;
  answered: Extract<TaskUpdate, { type: 'answered' }> | null;
}

/**
 * One part, whatever became of its attempts: told like a single task. Another attempt goes on where the one before it stopped, if it wrote the same so far; a tab
 * that writes something else is not patched in.
 */
export class RunningPart<P> {
  readonly id: number;
  readonly prompt: P;
  readonly isLive: boolean;
  readonly #updates = new AsyncQueue<TaskUpdate>();
  readonly #over = Promise.withResolvers<void>();
  #shownBy: AttemptAtWork<P> | null = null;
  /** The lease that was told last: an attempt may change its tab. */
  #shownUnder: Lease | null = null;
  #shown = '';
  #shownTokens = 0;
  #winner: AttemptAtWork<P> | null = null;
  #error: ShoalError | null = null;

  constructor(id: number, prompt: P, isLive: boolean) {
    this.id = id;
    this.prompt = prompt;
    this.isLive = isLive;
  }

  /** The salt of the attempt that was delivered. */
  get salt(): string {
    return this.#winner?.opened?.task.salt ?? '';
  }

  /** Resolves, never rejects, when the part was delivered or given up. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** As of one task, to the verdict; `leased` names the tab whose text is told, again when another goes on. Throws {@link ShoalError}. One reader. */
  updates(): AsyncGenerator<TaskUpdate, void, undefined> {
    return this.#updates.take();
  }

  /** The class that attempts from now on must have. */
  get classToGoOn(): string | null {
    return this.#shown === '' ? null : (this.#shownBy?.lease?.class ?? null);
  }

  wrote(attempt: AttemptAtWork<P>): void {
    if (!this.isLive || this.#winner !== null) return;
    if (this.#shownBy !== null && this.#shownBy !== attempt && attempt.text.length <= this.#shown.length) return;
    this.#show(attempt);
  }

  /** Whether what the attempt wrote goes on with what was told. */
  fits({ text }: AttemptAtWork<P>): boolean {
    return text.startsWith(this.#shown);
  }

  failed(error: ShoalError): void {
    this.#error = error;
  }

  deliver(attempt: AttemptAtWork<P>): void {
    this.#show(attempt);
    this.#winner = attempt;
    if (attempt.answered !== null) this.#updates.push(attempt.answered);
    this.#updates.push({ type: 'committed' });
    this.#over.resolve();
  }

  /** What follows the commit of the attempt that was delivered. */
  followed(attempt: AttemptAtWork<P>, update: TaskUpdate): void {
    if (this.#winner === attempt) this.#updates.push(update);
  }

  ended(attempt: AttemptAtWork<P>, error: ShoalError | null): void {
    if (this.#winner !== attempt) return;
    if (error === null) this.#updates.close();
    else this.#updates.fail(error);
  }

  giveUp(code: ErrorCode): void {
    const error = this.#error?.code === code ? this.#error : new ShoalError(code, 'The part was given up.');
    this.#updates.fail(error);
    this.#over.resolve();
  }

  #show(attempt: AttemptAtWork<P>): void {
    if (this.#shownBy !== attempt || this.#shownUnder !== attempt.lease) {
      if (attempt.lease === null || !this.fits(attempt)) return;
      this.#updates.push({ type: 'leased', lease: attempt.lease });
      this.#shownBy = attempt;
      this.#shownUnder = attempt.lease;
    }
    const text = attempt.text.slice(this.#shown.length);
    const tokens = Math.max(0, attempt.tokens - this.#shownTokens);
    this.#shown = attempt.text;
    this.#shownTokens = attempt.tokens;
    if (text !== '') this.#updates.push({ type: 'text', text, tokens, path: 'relay' });
  }
}

/** The parts of one request at work: does what the schedule decides, and tells it what happens. */
export class PartsRun<P> {
  readonly #port: PartsPort<P>;
  readonly #isWhole: boolean;
  readonly #parts = new Map<number, RunningPart<P>>();
  readonly #attempts = new Map<number, AttemptAtWork<P>>();
  readonly #finishing = new Set<Promise<void>>();
  #schedule: PartSchedule = EMPTY_SCHEDULE;
  #clock: ReturnType<typeof setInterval> | null = null;
  /** Until the whole is stopped, what is stopped was the slower of two. */
  #wordOfStop: PartWord = 'discarded';

  /** `isWhole`: the parts are given together or not at all. Else each is given when it is delivered. */
  constructor(port: PartsPort<P>, { isWhole = true }: { readonly isWhole?: boolean } = {}) {
    this.#port = port;
    this.#isWhole = isWhole;
  }

  get counts(): PartCounts {
    return countParts(this.#schedule);
  }

  /** Parts that were asked for twice because they were late, so far. */
  get hedges(): number {
    return this.#schedule.hedges;
  }

  /** New parts, asked for in one call. They are told in this order whatever order they end in. */
  add(prompts: readonly P[], { group, isLive = false }: PartOptions = {}): RunningPart<P>[] {
    const added = prompts.map((prompt, at) => new RunningPart(this.#parts.size + at, prompt, isLive));
    for (const part of added) this.#parts.set(part.id, part);
    this.#clock ??= setInterval(() => this.#tell({ t: 'looked' }), LOOK_EVERY_MS);
    this.#tell({ t: 'added', parts: added.map(({ id }) => ({ id, group: group ?? null })) });
    return added;
  }

  /**
   * Stops every part that is not delivered, wherever it is at work. `word`: what that makes of what was written; whoever stops its own request was given it, one that failed
   * as a whole was given nothing.
   */
  stop(word: PartWord = 'given'): void {
    this.#wordOfStop = word;
    this.#tell({ t: 'stopped' });
    this.#tellAll(word);
  }

  /** The answer that the parts so far make together was given. */
  given(): void {
    this.#tellAll('given');
  }

  #tellAll(word: PartWord): void {
    for (const attempt of this.#attempts.values()) this.#say(attempt, word);
  }

  /** Resolves, never rejects, when the parts so far are over, and the checks of their answers. */
  async finished(): Promise<void> {
    await Promise.all([...this.#parts.values()].map(({ over }) => over));
    await Promise.all(this.#finishing);
  }

  #tell(event: PartEvent): void {
    const { schedule, decisions } = stepParts(this.#schedule, event, this.#port.now());
    this.#schedule = schedule;
    for (const decision of decisions) this.#do(decision);
    const { held, waiting, running } = this.counts;
    if (this.#clock === null || held + waiting + running > 0) return;
    clearInterval(this.#clock);
    this.#clock = null;
  }

  #do(decision: PartDecision): void {
    switch (decision.do) {
      case 'ask':
        void this.#ask(decision.asks);
        return;
      case 'stop':
        return this.#stop(decision.attempt, this.#wordOfStop);
      case 'deliver': {
        const attempt = this.#attempts.get(decision.attempt);
        if (attempt === undefined) return;
        attempt.part.deliver(attempt);
        if (!this.#isWhole) this.#say(attempt, 'given');
        return;
      }
      case 'giveUp':
        this.#parts.get(decision.part)?.giveUp(decision.code);
    }
  }

  async #ask(asks: Extract<PartDecision, { do: 'ask' }>['asks']): Promise<void> {
    const attempts: AttemptAtWork<P>[] = [];
    const wants: AttemptWant<P>[] = [];
    for (const { attempt: id, part: partId, avoid } of asks) {
      const part = this.#parts.get(partId);
      if (part === undefined) continue; // The schedule knows no parts but those that were added.
      const attempt = {
        id,
        part,
        opened: null,
        isStopped: false,
        word: null,
        lease: null,
        text: '',
        tokens: 0,
        answered: null,
      };
      this.#attempts.set(id, attempt);
      attempts.push(attempt);
      wants.push({ prompt: part.prompt, avoid, class: part.classToGoOn });
    }
    try {
      const opened = await this.#port.open(wants);
      const untaken = attempts.slice(opened.length);
      for (const [at, attempt] of attempts.entries()) {
        attempt.opened = opened[at] ?? null;
        if (attempt.opened === null) continue;
        this.#finishing.add(attempt.opened.task.finished);
        if (attempt.word !== null) attempt.opened.tell(attempt.word);
        if (attempt.isStopped) void attempt.opened.task.stop();
        void this.#follow(attempt, attempt.opened);
      }
      if (untaken.length > 0) this.#tell({ t: 'untaken', attempts: untaken.map(({ id }) => id) });
    } catch (cause) {
      for (const attempt of attempts) this.#failed(attempt, ShoalError.from(cause));
    }
  }

  async #follow(attempt: AttemptAtWork<P>, { updates }: OpenedAttempt): Promise<void> {
    try {
      for await (const update of updates) this.#happened(attempt, update);
      attempt.part.ended(attempt, null);
    } catch (cause) {
      const error = ShoalError.from(cause);
      attempt.part.ended(attempt, error);
      this.#failed(attempt, error);
    }
  }

  #happened(attempt: AttemptAtWork<P>, update: TaskUpdate): void {
    const { part, id } = attempt;
    switch (update.type) {
      case 'waiting':
        return this.#tell({ t: 'waiting', attempt: id });
      case 'leased':
        attempt.lease = update.lease;
        return this.#tell({ t: 'leased', attempt: id, tab: update.lease.tab });
      case 'text':
        attempt.text += update.text;
        attempt.tokens += update.tokens;
        if (!attempt.isStopped) part.wrote(attempt);
        return;
      case 'answered':
        attempt.answered = update;
        return;
      case 'committed':
        if (part.fits(attempt)) return this.#tell({ t: 'answered', attempt: id });
        this.#stop(id, 'discarded');
        return this.#failed(
          attempt,
          new ShoalError('integrity_failed', 'A tab that was to go on with the answer wrote another one.'),
        );
      default:
        part.followed(attempt, update);
    }
  }

  #failed(attempt: AttemptAtWork<P>, error: ShoalError): void {
    if (!attempt.isStopped || error.code === 'integrity_failed') attempt.part.failed(error);
    // What failed costs nothing, and the checks that did not prove it were asked for. But its tab may have committed to what nobody can be given.
    this.#say(attempt, CANNOT_BE_GIVEN.includes(error.code) ? 'discarded' : 'given');
    this.#tell({ t: 'failed', attempt: attempt.id, code: error.code });
  }

  /** The first word counts. */
  #say(attempt: AttemptAtWork<P>, word: PartWord): void {
    if (attempt.word !== null) return;
    attempt.word = word;
    attempt.opened?.tell(word);
  }

  #stop(id: number, word: PartWord): void {
    const attempt = this.#attempts.get(id);
    if (attempt === undefined || attempt.isStopped) return;
    attempt.isStopped = true;
    this.#say(attempt, word);
    void attempt.opened?.task.stop();
  }
}
