import { AsyncQueue } from '../../shared/async-queue.ts';
import type { Sure } from '../../shared/checking/verdict.ts';
import {
  type AnswerNotes,
  type Completion,
  type CompletionChunk,
  type CompletionOptions,
  type CompletionUsage,
  collectCompletion,
  completionChunks,
} from '../../shared/sealed-task/completion.ts';
import type { RunningPart } from './parts-run.ts';

/** Several parts told as the choices of one completion, in OpenAI's shape: each is a task of its own, with its own receipt and check. */

export type Choice = Completion['choices'][number] & { readonly shoal: AnswerNotes };

export interface Choices extends Omit<Completion, 'choices' | 'shoal'> {
  readonly choices: readonly Choice[];
  readonly shoal: {
    readonly tasks: readonly string[];
    readonly receipts: readonly string[];
    /** Of the answer that is least sure. */
    readonly sure: Sure;
  };
}

export type ChoiceChunk = Omit<CompletionChunk, 'shoal'> & {
  readonly shoal?: AnswerNotes & { readonly index: number };
};

const LEAST_SURE_FIRST: readonly Sure[] = ['refuted', 'disputed', 'unverified', 'likely', 'verified'];

export function leastSure(all: readonly Sure[]): Sure {
  return LEAST_SURE_FIRST.find((sure) => all.includes(sure)) ?? 'unverified';
}

/** What all tabs read and wrote: every choice is read by a tab of its own, so its prompt counts with each. */
export function addUsage(all: readonly CompletionUsage[]): CompletionUsage {
  const sum = (field: keyof CompletionUsage) => all.reduce((total, usage) => total + usage[field], 0);
  return {
    prompt_tokens: sum('prompt_tokens'),
    completion_tokens: sum('completion_tokens'),
    total_tokens: sum('total_tokens'),
  };
}

type Told = Pick<RunningPart<unknown>, 'salt' | 'updates'>;

/** The choices at once, in order; `id` is asked for when there is a task. Throws {@link ShoalError} when one of them was given up. */
export async function collectChoices(
  parts: readonly Told[],
  id: () => string,
  awaitVerdict: boolean,
): Promise<Choices> {
  const all = await Promise.all(parts.map((part) => collectCompletion(part, part.updates(), awaitVerdict)));
  const [first] = all;
  if (first === undefined) throw new RangeError('A completion has a choice.');
  return {
    id: id(),
    object: first.object,
    created: first.created,
    model: first.model,
    system_fingerprint: first.system_fingerprint,
    choices: all.flatMap(({ choices, shoal }, index) => choices.map((choice) => ({ ...choice, index, shoal }))),
    usage: addUsage(all.map(({ usage }) => usage)),
    shoal: {
      tasks: all.map(({ shoal }) => shoal.task),
      receipts: all.map(({ shoal }) => shoal.receipt),
      sure: leastSure(all.map(({ shoal }) => shoal.sure)),
    },
  };
}

/** The choices as they are written, each chunk with the index of its own. Throws as {@link collectChoices}. */
export async function* choiceChunks(
  parts: readonly Told[],
  id: () => string,
  { includeUsage, awaitVerdict }: CompletionOptions,
): AsyncGenerator<ChoiceChunk, void, undefined> {
  const merged = new AsyncQueue<ChoiceChunk>();
  const usages: CompletionUsage[] = [];
  let last: CompletionChunk | null = null;
  const follow = async (part: Told, index: number) => {
    for await (const chunk of completionChunks(part, part.updates(), { includeUsage: true, awaitVerdict })) {
      last = chunk;
      const { shoal, usage, ...rest } = chunk;
      if (usage !== undefined) usages.push(usage);
      else {
        const choices = chunk.choices.map((choice) => ({ ...choice, index }));
        merged.push({ ...rest, id: id(), choices, ...(shoal !== undefined && { shoal: { ...shoal, index } }) });
      }
    }
  };
  Promise.all(parts.map(follow)).then(
    () => merged.close(),
    (cause) => merged.fail(cause),
  );
  yield* merged.take();
  if (!includeUsage || last === null) return;
  const { id: _, shoal: __, ...head } = last as CompletionChunk;
  yield { ...head, id: id(), choices: [], usage: addUsage(usages) };
}
