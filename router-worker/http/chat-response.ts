import { utf8 } from '../../shared/bytes.ts';
import type { Verdict } from '../../shared/checking/verdict.ts';
import { withDeadline } from '../../shared/deadline.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { ChatRequest } from '../../shared/protocol/chat-api.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Lease } from '../../shared/protocol/lease.ts';
import { completionId, receiptId, taskId } from '../../shared/protocol/task-ids.ts';
import type { SealedTask, TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';

/** How long a streaming request may wait for a tab before its headers are sent, ms: until then a refusal still has its own status. */
const HEADERS_AFTER_MS = 2_000;

/** Comment lines keep proxies from closing a stream that waits, ms. */
const COMMENT_EVERY_MS = 10_000;

const SSE_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};

interface Names {
  readonly task: TaskTail;
  readonly requestId: string;
}

type Updates = AsyncGenerator<TaskUpdate, void, undefined>;

/** A task as OpenAI's chat completion: one JSON object, or server-sent events. */
export async function respondChat(task: SealedTask, request: ChatRequest, names: Names): Promise<Response> {
  const updates = task.updates();
  const headers = { 'shoal-task': taskId(names.task), 'x-request-id': names.requestId };
  if (!request.stream) {
    const body = await collect(updates, task, request, names);
    return Response.json(body, { headers });
  }
  const events = chatEvents(updates, task, request, names);
  const first = await firstEvent(events);
  return new Response(streamOf(events, first, task), { headers: { ...headers, ...SSE_HEADERS } });
}

/** The first event, so that a task refused before it began is answered with its status; a comment after {@link HEADERS_AFTER_MS}. */
async function firstEvent(events: AsyncGenerator<string, void, undefined>): Promise<Pending> {
  const next = events.next();
  const winner = await withDeadline(next, HEADERS_AFTER_MS, 'waited' as const);
  return winner === 'waited' ? { text: ': waiting for a tab\n\n', next } : { text: winner.value ?? '', next: null };
}

interface Pending {
  readonly text: string;
  /** The event that is still to come, when the text is only a comment. */
  readonly next: Promise<IteratorResult<string, void>> | null;
}

function streamOf(
  events: AsyncGenerator<string, void, undefined>,
  first: Pending,
  task: SealedTask,
): ReadableStream<Uint8Array> {
  let pending = first.next;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      if (first.text !== '') controller.enqueue(utf8(first.text));
    },
    async pull(controller) {
      pending ??= events.next();
      try {
        const winner = await withDeadline(pending, COMMENT_EVERY_MS, 'late' as const);
        if (winner === 'late') return controller.enqueue(utf8(': still working\n\n'));
        pending = null;
        if (winner.done) controller.close();
        else controller.enqueue(utf8(winner.value));
      } catch (cause) {
        // The status is sent already: the error is the last event, and there is no [DONE].
        const error = { ...ShoalError.from(cause).toWire(), task: task.task === null ? null : taskId(task.task) };
        controller.enqueue(utf8(`data: ${JSON.stringify({ error })}\n\n`));
        controller.close();
      }
    },
    async cancel() {
      await task.stop();
    },
  });
}

/** What every answer says of itself under the key `shoal`. */
interface AnswerNotes {
  readonly task: string;
  readonly receipt: string;
  readonly tab: string;
  readonly class: string;
  readonly seed: number;
  /** Opens the salted digests of the receipt to whoever has the text. */
  readonly salt: string;
  readonly verdict: Verdict | { readonly value: 'pending' };
}

function notesOf(names: Names, lease: Lease, task: SealedTask, verdict: AnswerNotes['verdict']): AnswerNotes {
  return {
    task: taskId(names.task),
    receipt: receiptId(names.task),
    tab: lease.tab,
    class: lease.class,
    seed: lease.sampling.seed,
    salt: task.salt,
    verdict,
  };
}

function finishOf(reason: string): 'stop' | 'length' {
  return reason === 'length' ? 'length' : 'stop';
}

/** Server-sent events of one answer. The task is not over when these are: its check goes on. */
async function* chatEvents(
  updates: Updates,
  task: SealedTask,
  request: ChatRequest,
  names: Names,
): AsyncGenerator<string, void, undefined> {
  const created = Math.floor(Date.now() / 1000);
  let lease: Lease | null = null;
  let head = '';
  let begun = false;
  let finish: Extract<TaskUpdate, { type: 'answered' }> | null = null;

  for await (const update of updates) {
    switch (update.type) {
      case 'leased': {
        lease = update.lease;
        const common = {
          id: completionId(names.task),
          object: 'chat.completion.chunk',
          created,
          model: `${lease.model}:${lease.variant}`,
          system_fingerprint: lease.class,
        };
        head = JSON.stringify(common).slice(0, -1); // The same for every chunk: written once.
        break;
      }
      case 'text': {
        const delta = begun ? { content: update.text } : { role: 'assistant', content: update.text };
        begun = true;
        yield chunk(
          head,
          `"choices":[{"index":0,"delta":${JSON.stringify(delta)},"logprobs":null,"finish_reason":null}]`,
        );
        break;
      }
      case 'answered':
        finish = update;
        break;
      case 'committed': {
        if (lease === null || finish === null) break;
        const delta = begun ? {} : { role: 'assistant', content: '' };
        const choice = { index: 0, delta, logprobs: null, finish_reason: finishOf(finish.finish) };
        const notes = notesOf(names, lease, task, { value: 'pending' });
        yield chunk(head, `"choices":[${JSON.stringify(choice)}],"shoal":${JSON.stringify(notes)}`);
        if (request.includeUsage) yield chunk(head, `"choices":[],"usage":${JSON.stringify(usageOf(finish))}`);
        if (!request.awaitVerdict) {
          yield 'data: [DONE]\n\n';
          return;
        }
        break;
      }
      case 'ended': {
        if (lease === null) break;
        const notes = notesOf(names, lease, task, update.verdict);
        yield chunk(head, `"choices":[],"shoal":${JSON.stringify(notes)}`);
        yield 'data: [DONE]\n\n';
        return;
      }
    }
  }
}

function chunk(head: string, rest: string): string {
  return `data: ${head},${rest}}\n\n`;
}

function usageOf(answered: Extract<TaskUpdate, { type: 'answered' }>) {
  return {
    prompt_tokens: answered.promptTokens,
    completion_tokens: answered.completionTokens,
    total_tokens: answered.promptTokens + answered.completionTokens,
  };
}

async function collect(updates: Updates, task: SealedTask, request: ChatRequest, names: Names): Promise<object> {
  const parts: string[] = [];
  let lease: Lease | null = null;
  let finish: Extract<TaskUpdate, { type: 'answered' }> | null = null;
  let verdict: AnswerNotes['verdict'] = { value: 'pending' };
  for await (const update of updates) {
    if (update.type === 'leased') lease = update.lease;
    else if (update.type === 'text') parts.push(update.text);
    else if (update.type === 'answered') finish = update;
    else if (update.type === 'ended') verdict = update.verdict;
    if (update.type === 'ended' || (update.type === 'committed' && !request.awaitVerdict)) break;
  }
  if (lease === null || finish === null) throw new ShoalError('tab_lost', 'The task ended without an answer.');
  return {
    id: completionId(names.task),
    object: 'chat.completion',
    created: Math.floor(Date.now() / 1000),
    model: `${lease.model}:${lease.variant}`,
    system_fingerprint: lease.class,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: parts.join(''), refusal: null },
        logprobs: null,
        finish_reason: finishOf(finish.finish),
      },
    ],
    usage: usageOf(finish),
    shoal: notesOf(names, lease, task, verdict),
  };
}
