import { utf8 } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { EmbeddingRequest } from '../../shared/protocol/embeddings-api.ts';

/**
 * Numbers of all vectors of one response. They are kept as base64 until the last part is there, 22 MB, and a Worker has 128 MB for all that it does; written out in digits they
 * are 80 MB, which are never there at once.
 */
export const MAX_NUMBERS = 4 * 1024 * 1024;

/** Throws `invalid_value` where the vectors of a request are more than one response may hold. */
export function refuseTooManyNumbers({ inputs }: Pick<EmbeddingRequest, 'inputs'>, dimensions: number): void {
  const most = Math.floor(MAX_NUMBERS / Math.max(1, dimensions));
  if (inputs.length <= most) return;
  throw new ShoalError(
    'invalid_value',
    `The vectors of this model have ${dimensions} numbers: one request may hold ${most} texts, and this one has ${inputs.length}. Send the rest in another; encoding_format 'base64' makes each a quarter as long.`,
    { param: 'input' },
  );
}

/** The response of `POST /v1/embeddings`, one vector after the other: in digits all of them would be more than a Worker can hold. `rest`: what follows the data. */
export function respondVectors<T>(
  items: readonly T[],
  embeddingOf: (item: T) => string | readonly number[],
  rest: object,
  headers: Record<string, string> = {},
): Response {
  let index = 0;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(utf8('{"object":"list","data":[')),
    pull(controller) {
      const item = items[index];
      if (item === undefined) {
        controller.enqueue(utf8(`],${JSON.stringify(rest).slice(1)}`));
        controller.close();
        return;
      }
      const data = { object: 'embedding', index, embedding: embeddingOf(item) };
      controller.enqueue(utf8(`${index === 0 ? '' : ','}${JSON.stringify(data)}`));
      index++;
    },
  });
  return new Response(body, { headers: { 'content-type': 'application/json', ...headers } });
}
