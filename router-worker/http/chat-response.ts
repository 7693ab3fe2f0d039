import { utf8 } from '../../shared/bytes.ts';
import type { Sure } from '../../shared/checking/verdict.ts';
import { withDeadline } from '../../shared/deadline.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { ChatRequest } from '../../shared/protocol/chat-api.ts';
import type { Level } from '../../shared/protocol/level.ts';
import { taskId } from '../../shared/protocol/task-ids.ts';
import { collectCompletion, completionChunks } from '../../shared/sealed-task/completion.ts';
import type { SealedTask } from '../../shared/sealed-task/sealed-task.ts';
import { type Keep, keepAnswer } from '../task/keep-answer.ts';
import { lookAtAnswer } from '../task/look-at-answer.ts';
import { WaitingComments } from './waiting-comments.ts';

/** How long a streaming request may wait for a tab before its headers are sent, ms: until then a refusal still has its own status. */
const HEADERS_AFTER_MS = 2_000;

/** Comment lines keep proxies from closing a stream that waits, ms. */
const COMMENT_EVERY_MS = 10_000;

/** How sure the network is of the answer at the moment the headers are sent. A stream's last event says it again, as it is then. */
export const SURE_HEADER = 'shoal-sure';

const SSE_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};

/** A task as OpenAI's chat completion: one JSON object, or server-sent events. */
export async function respondChat(
  task: SealedTask,
  request: ChatRequest,
  level: Level,
  suspect: Parameters<typeof lookAtAnswer>[2],
  keep: Keep | null,
  headers: Record<string, string>,
): Promise<Response> {
  const prompt = request.messages.map(({ content }) => content).join('\n');
  const waiting = new WaitingComments();
  const updates = keepAnswer(task, lookAtAnswer(waiting.watch(task.updates()), prompt, suspect), keep);
  const awaitVerdict = request.awaitVerdict || level === 'strict'; // There is no answer before it.
  if (!request.stream) {
    const completion = await collectCompletion(task, updates, awaitVerdict);
    return Response.json(completion, { headers: { ...headers, [SURE_HEADER]: completion.shoal.sure } });
  }
  const chunks = completionChunks(task, updates, { includeUsage: request.includeUsage, awaitVerdict });
  // At level strict nothing is sent before it is verified.
  const sure: Sure = level === 'strict' ? 'verified' : 'unverified';
  return respondEvents(chunks, task, { ...headers, [SURE_HEADER]: sure }, waiting);
}

/** What stands behind a stream of events. */
export interface EventSource {
  /** Tail of the task's ids, once there is one. */
  readonly task: string | null;
  /** The client hung up. */
  stop(): unknown;
}

/** Server-sent events of whatever is told, with the status of its refusal when it is refused before it began. `headers` may be asked for when it has begun. */
export async function respondEvents<T extends object>(
  chunks: AsyncGenerator<T, void, undefined>,
  source: EventSource,
  headers: Record<string, string> | (() => Record<string, string>),
  waiting = new WaitingComments(),
): Promise<Response> {
  const next = chunks.next();
  const first = await withDeadline(next, HEADERS_AFTER_MS, null);
  const { readable, writable } = new IdentityTransformStream();
  void writeEvents(writable.getWriter(), chunks, next, first === null ? waiting : null, source);
  const told = typeof headers === 'function' ? headers() : headers;
  return new Response(readable, { headers: { ...told, ...SSE_HEADERS } });
}

/** Server-sent events. The task is not over when they are: its check goes on. */
async function writeEvents<T extends object>(
  writer: WritableStreamDefaultWriter<Uint8Array>,
  chunks: AsyncGenerator<T, void, undefined>,
  first: Promise<IteratorResult<T, void>>,
  waiting: WaitingComments | null,
  task: EventSource,
): Promise<void> {
  const write = (text: string) => writer.write(utf8(text));
  let wroteAt = Date.now();
  // One timer a stream, not one a chunk.
  const comments = setInterval(() => {
    if (Date.now() - wroteAt >= COMMENT_EVERY_MS) void write(': still working\n\n').catch(() => undefined);
  }, COMMENT_EVERY_MS);
  writer.closed.catch(() => task.stop()); // The client hung up.
  try {
    if (waiting !== null) {
      await write(': waiting for a tab\n\n');
      waiting.listen((comment) => {
        wroteAt = Date.now();
        void write(comment).catch(() => undefined);
      });
    }
    for (let result = await first; result.done !== true; result = await chunks.next()) {
      wroteAt = Date.now();
      await write(`data: ${JSON.stringify(result.value)}\n\n`);
    }
    await write('data: [DONE]\n\n');
  } catch (cause) {
    // The status is sent already: the error is the last event, and there is no [DONE].
    const error = { ...ShoalError.from(cause).toWire(), task: task.task === null ? null : taskId(task.task) };
    await write(`data: ${JSON.stringify({ error })}\n\n`).catch(() => undefined);
  } finally {
    clearInterval(comments);
    await writer.close().catch(() => undefined);
  }
}
