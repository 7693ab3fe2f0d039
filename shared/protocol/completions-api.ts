import * as v from 'valibot';
import { ShoalError } from '../errors.ts';
import { MAX_PROMPTS } from '../limits.ts';
import {
  checking,
  choices,
  samplingFields,
  samplingOf,
  sessionName,
  stopsOf,
  streamFields,
  tokens,
} from './chat-api.ts';
import { fieldError, isRecord, unsupported } from './field-errors.ts';
import { unicodeText } from './fields.ts';
import type { Sampling } from './lease.ts';
import type { Level } from './level.ts';

/**
 * `POST /v1/completions`, OpenAI's older shape: one prompt or many, each answered `n` times. Tabs take conversations, so a prompt is asked as the one message of a
 * user, and what comes back is an answer to it, not its continuation.
 */
const completionRequest = v.strictObject({
  model: v.pipe(v.string(), v.minLength(1), v.maxLength(128)),
  prompt: v.union([unicodeText, v.pipe(v.array(unicodeText), v.minLength(1), v.maxLength(MAX_PROMPTS))]),
  ...streamFields,
  ...samplingFields,
  max_tokens: tokens,
  n: choices,
  user: v.optional(v.string()),
  shoal: v.optional(v.strictObject({ ...checking, session: sessionName })),
});

/** Fields of OpenAI's that change nothing at these values; at any other value they are refused by name. */
const NEUTRAL: Readonly<Record<string, (value: unknown, body: Record<string, unknown>) => boolean>> = {
  echo: (value) => value === false,
  suffix: (value) => value === '',
  logprobs: () => false,
  best_of: (value, body) => value === (body.n ?? 1),
  logit_bias: (value) => isRecord(value) && Object.keys(value).length === 0,
};

export interface CompletionRequest {
  readonly model: string;
  readonly prompts: readonly string[];
  readonly stop: readonly string[];
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly level: Level | null;
  readonly checks: 1 | 2 | 3;
  readonly awaitVerdict: boolean;
  readonly n: number;
  /** Only what the request sets. */
  readonly sampling: Partial<Sampling>;
}

/** Parses the body of a completion request. Throws an error of the vocabulary that names the field at fault. */
export function parseCompletionRequest(body: unknown): CompletionRequest {
  if (!isRecord(body)) throw new ShoalError('invalid_json', 'The body must be one JSON object.');
  const rest = Object.entries(body).filter(([field, value]) => {
    if (!Object.hasOwn(NEUTRAL, field)) return true;
    if (value !== null && NEUTRAL[field]?.(value, body) !== true) throw unsupported(field);
    return false;
  });
  const parsed = v.safeParse(completionRequest, Object.fromEntries(rest));
  if (!parsed.success) throw fieldError(parsed.issues[0], body);
  const request = parsed.output;
  const prompts = typeof request.prompt === 'string' ? [request.prompt] : request.prompt;
  const empty = prompts.findIndex((prompt) => prompt.trim() === '');
  if (empty >= 0) {
    const param = typeof request.prompt === 'string' ? 'prompt' : `prompt[${empty}]`;
    throw new ShoalError('empty_messages', 'The prompt has no text.', { param });
  }
  const n = request.n ?? 1;
  if (prompts.length * n > MAX_PROMPTS) {
    throw new ShoalError('invalid_value', `One request has at most ${MAX_PROMPTS} answers, prompts times 'n'.`, {
      param: 'n',
    });
  }
  return {
    model: request.model,
    prompts,
    stop: stopsOf(request),
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
    level: request.shoal?.level ?? null,
    checks: request.shoal?.checks ?? 1,
    awaitVerdict: request.shoal?.await_verdict ?? false,
    n,
    sampling: { ...samplingOf(request), ...(request.max_tokens != null && { maxTokens: request.max_tokens }) },
  };
}
