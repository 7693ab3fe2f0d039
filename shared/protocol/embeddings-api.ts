import * as v from 'valibot';
import { ShoalError } from '../errors.ts';
import { MAX_EMBEDDING_INPUTS } from '../limits.ts';
import { checking, sessionName } from './chat-api.ts';
import { fieldError, isRecord } from './field-errors.ts';
import { unicodeText } from './fields.ts';
import type { Level } from './level.ts';

/** `POST /v1/embeddings`, OpenAI's shape; inputs are text, not tokens, because whoever embeds has a tokenizer of its own. */
const embeddingRequest = v.strictObject({
  model: v.pipe(v.string(), v.minLength(1), v.maxLength(128)),
  input: v.union([unicodeText, v.pipe(v.array(unicodeText), v.minLength(1), v.maxLength(MAX_EMBEDDING_INPUTS))]),
  encoding_format: v.optional(v.nullable(v.picklist(['float', 'base64']))),
  dimensions: v.optional(v.nullable(v.pipe(v.number(), v.safeInteger(), v.minValue(1)))),
  user: v.optional(v.string()),
  store: v.optional(v.literal(false)), // Asked for with an `Idempotency-Key`, it is honoured before this is read.
  shoal: v.optional(v.strictObject({ ...checking, session: sessionName })),
});

export interface EmbeddingRequest {
  readonly model: string;
  readonly inputs: readonly string[];
  readonly encoding: 'float' | 'base64';
  /** Null: as many as the model has. */
  readonly dimensions: number | null;
  /** Whether the inputs came alone or in a list: errors name them accordingly. */
  readonly isList: boolean;
  /** How the work of tabs is checked; null: nothing was said of it. */
  readonly checking: {
    readonly level: Level | null;
    readonly checks: 1 | 2 | 3;
    readonly awaitVerdict: boolean;
  } | null;
}

/** Parses the body of an embedding request. Throws an error of the vocabulary that names the field at fault. */
export function parseEmbeddingRequest(body: unknown): EmbeddingRequest {
  if (!isRecord(body)) throw new ShoalError('invalid_json', 'The body must be one JSON object.');
  const parsed = v.safeParse(embeddingRequest, body);
  if (!parsed.success) throw fieldError(parsed.issues[0], body);
  const { model, input, encoding_format: encoding, dimensions, shoal } = parsed.output;
  const inputs = typeof input === 'string' ? [input] : input;
  const empty = inputs.indexOf('');
  if (empty >= 0) {
    const param = typeof input === 'string' ? 'input' : `input[${empty}]`;
    throw new ShoalError('invalid_value', 'There is no text to embed.', { param });
  }
  return {
    model,
    inputs,
    encoding: encoding ?? 'float',
    dimensions: dimensions ?? null,
    isList: typeof input !== 'string',
    checking:
      shoal === undefined
        ? null
        : { level: shoal.level ?? null, checks: shoal.checks ?? 1, awaitVerdict: shoal.await_verdict ?? false },
  };
}

/** Throws `unsupported_field`: no model here has vectors that can be shortened. */
export function refuseOtherDimensions({ dimensions }: EmbeddingRequest, model: string, own: number): void {
  if (dimensions === null || dimensions === own) return;
  throw new ShoalError('unsupported_field', `The vectors of '${model}' have ${own} numbers.`, { param: 'dimensions' });
}
