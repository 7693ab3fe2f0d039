import { type Sure, sureOf, type Verdict } from '../checking/verdict.ts';
import { ShoalError } from '../errors.ts';
import type { Lease } from '../protocol/lease.ts';
import { completionId, receiptId, taskId } from '../protocol/task-ids.ts';
import type { SealedTask, TaskUpdate } from './sealed-task.ts';

/** A sealed task told in OpenAI's shapes: by the router to plain clients, by the client package to its own page. */

/** What every answer says of itself, under the key `shoal`. */
export interface AnswerNotes {
  readonly task: string;
  readonly receipt: string;
  readonly tab: string;
  readonly class: string;
  readonly seed: number;
  /** Opens the salted digests of the receipt to whoever has the text. */
  readonly salt: string;
  readonly verdict: Verdict | { readonly value: 'pending' };
  /** How sure the network is of the answer, in one word. */
  readonly sure: Sure;
}

export interface CompletionUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

export interface CompletionChunk {
  readonly id: string;
  readonly object: 'chat.completion.chunk';
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: { readonly role?: 'assistant'; readonly content?: string };
    readonly logprobs: null;
    readonly finish_reason: 'stop' | 'length' | null;
  }[];
  readonly usage?: CompletionUsage;
  readonly shoal?: AnswerNotes;
}

export interface Completion {
  readonly id: string;
  readonly object: 'chat.completion';
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
  readonly choices: readonly {
    readonly index: number;
    readonly message: { readonly role: 'assistant'; readonly content: string; readonly refusal: null };
    readonly logprobs: null;
    readonly finish_reason: 'stop' | 'length';
  }[];
  readonly usage: CompletionUsage;
  readonly shoal: AnswerNotes;
}

export interface CompletionOptions {
  readonly includeUsage: boolean;
  /** Go on to the verdict, and put it into the last chunk. */
  readonly awaitVerdict: boolean;
}

type Updates = AsyncGenerator<TaskUpdate, void, undefined>;
type Answered = Extract<TaskUpdate, { type: 'answered' }>;

function headOf(lease: Lease, created: number) {
  return {
    id: completionId(lease.task),
    created,
    model: `${lease.model}:${lease.variant}`,
    system_fingerprint: lease.class,
  };
}

function notesOf(lease: Lease, salt: string, verdict: AnswerNotes['verdict']): AnswerNotes {
  return {
    task: taskId(lease.task),
    receipt: receiptId(lease.task),
    tab: lease.tab,
    class: lease.class,
    seed: lease.sampling.seed,
    salt,
    verdict,
    sure: sureOf(verdict),
  };
}

function usageOf(answered: Answered): CompletionUsage {
  return {
    prompt_tokens: answered.promptTokens,
    completion_tokens: answered.completionTokens,
    total_tokens: answered.promptTokens + answered.completionTokens,
  };
}

function noAnswer(): ShoalError {
  return new ShoalError('tab_lost', 'The task ended without an answer.');
}

const PENDING = { value: 'pending' } as const;

/**
 * The chunks of one answer. They end with the answer, or with the verdict if asked to wait for it; the task itself goes on to its verdict in any
 * case. The finish reason is told only when the tab's commit was seen to fit the text. Throws {@link ShoalError}.
 */
export async function* completionChunks(
  task: Pick<SealedTask, 'salt'>,
  updates: Updates,
  options: CompletionOptions,
): AsyncGenerator<CompletionChunk, void, undefined> {
  const created = Math.floor(Date.now() / 1000);
  let lease: Lease | null = null;
  let answered: Answered | null = null;
  let begun = false;
  const chunk = (rest: Pick<CompletionChunk, 'choices' | 'usage' | 'shoal'>, of: Lease): CompletionChunk => ({
    ...headOf(of, created),
    object: 'chat.completion.chunk',
    ...rest,
  });
  const choice = (content: string | null, finish: 'stop' | 'length' | null): CompletionChunk['choices'][number] => {
    const delta = {
      ...(!begun && { role: 'assistant' as const }),
      ...((content !== null || !begun) && { content: content ?? '' }),
    };
    begun = true;
    return { index: 0, delta, logprobs: null, finish_reason: finish };
  };

  for await (const update of updates) {
    if (update.type === 'leased') lease = update.lease;
    else if (update.type === 'answered') answered = update;
    else if (lease === null) continue;
    else if (update.type === 'text') yield chunk({ choices: [choice(update.text, null)] }, lease);
    else if (update.type === 'committed' && answered !== null) {
      yield chunk({ choices: [choice(null, answered.finish)], shoal: notesOf(lease, task.salt, PENDING) }, lease);
      if (options.includeUsage) yield chunk({ choices: [], usage: usageOf(answered) }, lease);
      if (!options.awaitVerdict) return;
    } else if (update.type === 'ended' && answered !== null) {
      yield chunk({ choices: [], shoal: notesOf(lease, task.salt, update.verdict) }, lease);
      return;
    }
  }
  throw noAnswer();
}

/** The whole answer at once. Throws {@link ShoalError}. */
export async function collectCompletion(
  task: Pick<SealedTask, 'salt'>,
  updates: Updates,
  awaitVerdict: boolean,
): Promise<Completion> {
  const parts: string[] = [];
  let lease: Lease | null = null;
  let answered: Answered | null = null;
  let verdict: AnswerNotes['verdict'] = PENDING;
  for await (const update of updates) {
    if (update.type === 'leased') lease = update.lease;
    else if (update.type === 'text') parts.push(update.text);
    else if (update.type === 'answered') answered = update;
    else if (update.type === 'ended') verdict = update.verdict;
    if (update.type === 'ended' || (update.type === 'committed' && !awaitVerdict)) break;
  }
  if (lease === null || answered === null) throw noAnswer();
  const message = { role: 'assistant' as const, content: parts.join(''), refusal: null };
  return {
    ...headOf(lease, Math.floor(Date.now() / 1000)),
    object: 'chat.completion',
    choices: [{ index: 0, message, logprobs: null, finish_reason: answered.finish }],
    usage: usageOf(answered),
    shoal: notesOf(lease, task.salt, verdict),
  };
}
