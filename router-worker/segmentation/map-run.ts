import { AsyncQueue } from '../../shared/async-queue.ts';
import type { Sure } from '../../shared/checking/verdict.ts';
import { type ErrorCode, ShoalError, type WireError } from '../../shared/errors.ts';
import {
  type AnswerNotes,
  type Completion,
  type CompletionUsage,
  collectCompletion,
} from '../../shared/sealed-task/completion.ts';
import { addUsage, leastSure } from './choices.ts';
import { type DocumentPart, halve } from './cut-document.ts';
import type { PartsRun, RunningPart } from './parts-run.ts';
import type { MapPlan } from './plan-map.ts';

interface PartPlace {
  /** The number of the part, from 1; `3.1` and `3.2` are its halves where it was too long for a tab. */
  readonly part: string;
  /** Where it stands in the document, UTF-16 units. */
  readonly start: number;
  readonly end: number;
}

interface Answer {
  readonly text: string;
  readonly finish_reason: 'stop' | 'length';
  readonly usage: CompletionUsage;
  readonly shoal: AnswerNotes;
}

export type MappedPart = PartPlace & ((Answer & { readonly error: null }) | { readonly error: WireError });

export interface MapResult {
  readonly type: 'result';
  readonly object: 'map';
  readonly created: number;
  readonly model: string;
  /** `incomplete`: parts failed, or time was over; what there is is there, and nothing was made a whole of it. */
  readonly status: 'completed' | 'incomplete';
  /** The answer to `reduce`; null without one, or when it is incomplete. */
  readonly result: string | null;
  readonly parts: readonly MappedPart[];
  /** Answers to `reduce`, level by level; the last one is the result. */
  readonly reductions: readonly (Answer & { readonly level: number })[];
  readonly usage: CompletionUsage;
  readonly error: WireError | null;
  readonly shoal: { readonly hedges: number; readonly sure: Sure };
}

export interface MapProgress {
  readonly type: 'progress';
  readonly of: number;
  readonly done: number;
  readonly failed: number;
  readonly running: number;
  readonly waiting: number;
}

export type MapEvent =
  | { readonly type: 'planned'; readonly parts: number; readonly part_bytes: number; readonly overlap_bytes: number }
  | ({ readonly type: 'part' } & MappedPart)
  | { readonly type: 'split'; readonly part: string; readonly into: readonly [string, string] }
  | MapProgress
  | { readonly type: 'reducing'; readonly level: number; readonly answers: number; readonly into: number }
  | MapResult;

/** What a reduction reads: an answer of a part, or of a reduction before it. */
interface Item {
  readonly text: string;
  readonly tokens: number;
}

/** Said between the answers that one reduction reads. */
const BETWEEN = '\n\n';
const BETWEEN_TOKENS = 2;

/** A document at work: its parts side by side, then what came back made a whole, in a tree where that does not fit one context. */
export class MapRun<P> {
  readonly #run: PartsRun<P>;
  readonly #plan: MapPlan;
  readonly #promptOf: (content: string, maxTokens: number) => P;
  readonly #awaitVerdict: boolean;
  readonly #events = new AsyncQueue<MapEvent>();
  readonly #reductions: (Answer & { readonly level: number })[] = [];
  #of: number;
  #done = 0;
  #failed = 0;
  #model = '';
  #stoppedAs: ErrorCode = 'cancelled';

  constructor(
    run: PartsRun<P>,
    plan: MapPlan,
    options: { readonly promptOf: (content: string, maxTokens: number) => P; readonly awaitVerdict: boolean },
  ) {
    this.#run = run;
    this.#plan = plan;
    this.#promptOf = options.promptOf;
    this.#awaitVerdict = options.awaitVerdict;
    this.#of = plan.parts.length;
  }

  /** Begins. What happens, to the result, which is the last event. Throws {@link ShoalError} when there is not even a part of one. One reader. */
  events(): AsyncGenerator<MapEvent, void, undefined> {
    const { parts, partBytes, overlapBytes } = this.#plan;
    this.#events.push({ type: 'planned', parts: parts.length, part_bytes: partBytes, overlap_bytes: overlapBytes });
    this.#work().then(
      (result) => {
        this.#events.push(result);
        this.#events.close();
      },
      (cause) => this.#events.fail(cause),
    );
    return this.#events.take();
  }

  /** Stops every part that is not done; the result is what there is. */
  stop(code: 'cancelled' | 'deadline_exceeded'): void {
    this.#stoppedAs = code;
    this.#run.stop();
  }

  async #work(): Promise<MapResult> {
    const running = this.#run.add(this.#plan.parts.map((part) => this.#partPrompt(part)));
    const named = this.#plan.parts.map((part, at) => ({ part, name: String(at + 1), running: running[at] }));
    const mapped = (await Promise.all(named.map((one) => this.#mapped(one)))).flat();
    const failure = mapped.find(({ error }) => error !== null)?.error ?? null;
    const answers = mapped.filter((part) => part.error === null);
    if (failure !== null && answers.length === 0) throw ShoalError.fromWire(failure);
    if (failure !== null || this.#plan.reduce === null) return this.#result(mapped, null, failure);
    const items = answers.map(({ text, usage }) => ({ text, tokens: usage.completion_tokens }));
    try {
      return this.#result(mapped, await this.#reduce(items, this.#plan.reduce), null);
    } catch (cause) {
      return this.#result(mapped, null, this.#failure(cause).toWire());
    }
  }

  #result(parts: readonly MappedPart[], result: string | null, error: WireError | null): MapResult {
    const answers = [...parts.filter((part) => part.error === null), ...this.#reductions];
    return {
      type: 'result',
      object: 'map',
      created: Math.floor(Date.now() / 1000),
      model: this.#model,
      status: error === null ? 'completed' : 'incomplete',
      result,
      parts,
      reductions: this.#reductions,
      usage: addUsage(answers.map(({ usage }) => usage)),
      error,
      shoal: { hedges: this.#run.hedges, sure: leastSure(answers.map(({ shoal }) => shoal.sure)) },
    };
  }

  #partPrompt({ overlap, text }: DocumentPart): P {
    return this.#promptOf(`${this.#plan.instruction}${BETWEEN}${overlap}${text}`, this.#plan.maxTokens);
  }

  /** A part, or what it was cut into where it was too long. */
  async #mapped(one: {
    readonly part: DocumentPart;
    readonly name: string;
    readonly running: RunningPart<P> | undefined;
  }): Promise<MappedPart[]> {
    const { part, name, running } = one;
    if (running === undefined) return [];
    const place = { part: name, start: part.start, end: part.end };
    try {
      const answer = await this.#answer(running);
      this.#done++;
      return [this.#told({ ...place, ...answer, error: null })];
    } catch (cause) {
      const error = this.#failure(cause);
      const halves = error.code === 'context_length_exceeded' ? halve(part) : null;
      if (halves === null) {
        this.#failed++;
        return [this.#told({ ...place, error: error.toWire() })];
      }
      const names = [`${name}.1`, `${name}.2`] as const;
      this.#of++;
      this.#events.push({ type: 'split', part: name, into: names });
      const again = this.#run.add(halves.map((half) => this.#partPrompt(half)));
      const both = halves.map((half, at) => ({ part: half, name: names[at] ?? name, running: again[at] }));
      return (await Promise.all(both.map((half) => this.#mapped(half)))).flat();
    }
  }

  #told(part: MappedPart): MappedPart {
    this.#events.push({ type: 'part', ...part });
    const { running, waiting, held } = this.#run.counts;
    this.#events.push({
      type: 'progress',
      of: this.#of,
      done: this.#done,
      failed: this.#failed,
      running,
      waiting: waiting + held,
    });
    return part;
  }

  async #answer(running: RunningPart<P>): Promise<Answer> {
    const completion: Completion = await collectCompletion(running, running.updates(), this.#awaitVerdict);
    this.#model ||= completion.model;
    const [choice] = completion.choices;
    if (choice === undefined) throw new ShoalError('internal_error', 'An answer has no text.');
    const { usage, shoal } = completion;
    return { text: choice.message.content, finish_reason: choice.finish_reason, usage, shoal };
  }

  /** Stopped parts say why all were stopped. */
  #failure(cause: unknown): ShoalError {
    const error = ShoalError.from(cause);
    if (error.code !== 'cancelled' || this.#stoppedAs === 'cancelled') return error;
    return new ShoalError(this.#stoppedAs, 'The time for the document was over.', { param: 'deadline_ms' });
  }

  /** Throws `context_length_exceeded` when two answers do not fit one context, and what the reductions throw. */
  async #reduce(answers: readonly Item[], instruction: string): Promise<string> {
    let items = answers;
    for (let level = 1; ; level++) {
      const groups = groupItems(items, this.#plan.reduceTokens);
      this.#events.push({ type: 'reducing', level, answers: items.length, into: groups.length });
      const next = await this.#reduceAll(groups, instruction, level, items.length === 1);
      if (next.length >= items.length && items.length > 1) {
        throw new ShoalError('context_length_exceeded', 'Two answers together are too long to be made one.', {
          param: 'max_tokens',
        });
      }
      items = next;
      const [only] = items;
      if (items.length === 1 && only !== undefined) return only.text;
    }
  }

  /** One answer for each group; a group of one is its own, unless it is all there is. */
  async #reduceAll(
    groups: readonly (readonly Item[])[],
    instruction: string,
    level: number,
    isAll: boolean,
  ): Promise<Item[]> {
    const asked = groups.filter((group) => group.length > 1 || isAll);
    const content = (group: readonly Item[]) => [instruction, ...group.map(({ text }) => text.trim())].join(BETWEEN);
    const running = this.#run.add(asked.map((group) => this.#promptOf(content(group), this.#plan.maxTokens)));
    const reduced = await Promise.all(
      groups.map(async (group): Promise<readonly Item[]> => {
        const part = running[asked.indexOf(group)];
        if (part === undefined) return group;
        try {
          const answer = await this.#answer(part);
          this.#reductions.push({ ...answer, level });
          return [{ text: answer.text, tokens: answer.usage.completion_tokens }];
        } catch (cause) {
          const error = this.#failure(cause);
          if (error.code !== 'context_length_exceeded' || group.length < 2) throw error;
          const middle = Math.ceil(group.length / 2);
          return this.#reduceAll([group.slice(0, middle), group.slice(middle)], instruction, level, false);
        }
      }),
    );
    return reduced.flat();
  }
}

/** Neighbours together, as many as fit `room` tokens. */
export function groupItems<T extends { readonly tokens: number }>(items: readonly T[], room: number): T[][] {
  const groups: T[][] = [];
  let left = 0;
  for (const item of items) {
    const needed = item.tokens + BETWEEN_TOKENS;
    const last = groups.at(-1);
    if (last !== undefined && needed <= left) {
      last.push(item);
      left -= needed;
    } else {
      groups.push([item]);
      left = room - needed;
    }
  }
  return groups;
}
