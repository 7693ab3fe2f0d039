import { utf8 } from '../../shared/bytes.ts';
import { withDeadline } from '../../shared/deadline.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { ChatRequest } from '../../shared/protocol/chat-api.ts';
import { taskId } from '../../shared/protocol/task-ids.ts';
import { type CompletionChunk, collectCompletion, completionChunks } from '../../shared/sealed-task/completion.ts';
import type { SealedTask } from '../../shared/sealed-task/sealed-task.ts';

/** How long a streaming request may wait for a tab before its headers are sent, ms: until then a refusal still has its own status. */
const HEADERS_AFTER_MS = 2_000;

/** Comment lines keep proxies from closing a stream that waits, ms. */
const COMMENT_EVERY_MS = 10_000;

const SSE_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};

/** A task as OpenAI's chat completion: one JSON object, or server-sent events. */
export async function respondChat(
  task: SealedTask,
  request: ChatRequest,
  headers: Record<string, string>,
): Promise<Response> {
  const updates = task.updates();
  if (!request.stream) {
    return Response.json(await collectCompletion(task, updates, request.awaitVerdict), { headers });
  }
  const chunks = completionChunks(task, updates, request);
  // A task that is refused before it began is answered with its own status.
  const next = chunks.next();
  const first = await withDeadline(next, HEADERS_AFTER_MS, null);
  return new Response(eventStream(chunks, next, first === null, task), { headers: { ...headers, ...SSE_HEADERS } });
}

/** Server-sent events. The task is not over when they are: its check goes on. */
function eventStream(
  chunks: AsyncGenerator<CompletionChunk, void, undefined>,
  first: Promise<IteratorResult<CompletionChunk, void>>,
  isWaiting: boolean,
  task: SealedTask,
): ReadableStream<Uint8Array> {
  let next: Promise<IteratorResult<CompletionChunk, void>> | null = first;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      if (isWaiting) controller.enqueue(utf8(': waiting for a tab\n\n'));
    },
    async pull(controller) {
      next ??= chunks.next();
      try {
        const result = await withDeadline(next, COMMENT_EVERY_MS, null);
        if (result === null) return controller.enqueue(utf8(': still working\n\n'));
        next = null;
        if (result.done !== true) return controller.enqueue(utf8(`data: ${JSON.stringify(result.value)}\n\n`));
        controller.enqueue(utf8('data: [DONE]\n\n'));
      } catch (cause) {
        // The status is sent already: the error is the last event, and there is no [DONE].
        const error = { ...ShoalError.from(cause).toWire(), task: task.task === null ? null : taskId(task.task) };
        controller.enqueue(utf8(`data: ${JSON.stringify({ error })}\n\n`));
      }
      controller.close();
    },
    async cancel() {
      await task.stop();
    },
  });
}
