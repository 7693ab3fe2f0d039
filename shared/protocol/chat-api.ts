import * as z from 'zod/mini';
import { ShoalError } from '../errors.ts';
import { MAX_MESSAGES, MAX_OUTPUT_TOKENS, MAX_STOP_LENGTH, MAX_STOP_STRINGS } from '../limits.ts';
import type { Sampling } from './lease.ts';
import type { ChatMessage } from './sealed-body.ts';
import './fields.ts'; // Configures zod.

/**
 * `POST /v1/chat/completions`, OpenAI's shape. Every field is honoured, accepted only in the value that changes nothing, or refused by name.
 * Nothing is ignored in silence.
 */

const textPart = z.strictObject({ type: z.literal('text'), text: z.string() });
const content = z.union([z.string(), z.array(textPart)]);

const requestMessage = z.strictObject({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content,
  name: z.optional(z.string()),
});

const number = (low: number, high: number) => z.optional(z.nullable(z.number().check(z.minimum(low), z.maximum(high))));
const tokens = z.optional(z.nullable(z.int().check(z.minimum(1), z.maximum(MAX_OUTPUT_TOKENS))));
const stopString = z.string().check(z.minLength(1), z.maxLength(MAX_STOP_LENGTH));

const chatRequest = z.strictObject({
  model: z.string().check(z.minLength(1), z.maxLength(128)),
  messages: z.array(requestMessage).check(z.maxLength(MAX_MESSAGES)),
  stream: z.optional(z.nullable(z.boolean())),
  stream_options: z.optional(z.nullable(z.strictObject({ include_usage: z.optional(z.boolean()) }))),
  max_tokens: tokens,
  max_completion_tokens: tokens,
  temperature: number(0, 2),
  top_p: number(0, 1),
  frequency_penalty: number(-2, 2),
  presence_penalty: number(-2, 2),
  seed: z.optional(z.nullable(z.int())),
  stop: z.optional(z.nullable(z.union([stopString, z.array(stopString).check(z.maxLength(MAX_STOP_STRINGS))]))),
  user: z.optional(z.string()),
  shoal: z.optional(
    z.strictObject({
      /** How the answer is checked. */
      level: z.optional(z.enum(['none', 'cross'])),
      /** Keep the response open until the verdict is there, and put it into the last event. */
      await_verdict: z.optional(z.boolean()),
    }),
  ),
});

/** Standard fields that change nothing at these values; at any other value they are refused by name. */
const NEUTRAL = new Map<string, (value: unknown) => boolean>(
  Object.entries({
    n: (value) => value === 1,
    logprobs: (value) => value === false,
    top_logprobs: (value) => value === 0,
    logit_bias: isEmptyObject,
    tools: isEmptyArray,
    functions: isEmptyArray,
    tool_choice: (value) => value === 'none' || value === 'auto',
    function_call: (value) => value === 'none' || value === 'auto',
    parallel_tool_calls: (value) => typeof value === 'boolean',
    response_format: (value) => isRecord(value) && value.type === 'text',
    modalities: (value) => JSON.stringify(value) === '["text"]',
    store: (value) => value === false,
    service_tier: (value) => value === 'auto' || value === 'default',
    metadata: isEmptyObject,
    reasoning_effort: (value) => value === 'none',
  }),
);

/** Standard fields that are refused at every value but null. */
const UNSUPPORTED = new Set([
  'audio',
  'prediction',
  'verbosity',
  'web_search_options',
  'prompt_cache_key',
  'safety_identifier',
]);

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
function isEmptyObject(value: unknown): boolean {
  return isRecord(value) && Object.keys(value).length === 0;
}
function isEmptyArray(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly stop: readonly string[];
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly level: 'none' | 'cross';
  readonly awaitVerdict: boolean;
  /** Only what the request sets. */
  readonly sampling: Partial<Sampling>;
}

/** Parses the body of a chat request. Throws an error of the vocabulary that names the field at fault. */
export function parseChatRequest(body: unknown): ChatRequest {
  if (!isRecord(body)) throw new ShoalError('invalid_json', 'The body must be one JSON object.');
  const parsed = chatRequest.safeParse(withoutNeutralFields(body));
  if (!parsed.success) throw fieldError(parsed.error.issues[0], body);
  const request = parsed.data;
  const messages = request.messages.map((message) => ({
    role: message.role === 'developer' ? ('system' as const) : message.role,
    content: typeof message.content === 'string' ? message.content : message.content.map((p) => p.text).join('\n'),
  }));
  const named = request.messages.findIndex((message) => message.name !== undefined);
  if (named >= 0) throw unsupported(`messages[${named}].name`);
  if (messages.every((message) => message.content.trim() === '')) {
    throw new ShoalError('empty_messages', 'The conversation has no text.', { param: 'messages' });
  }
  const stop = request.stop ?? [];
  return {
    model: request.model,
    messages,
    stop: typeof stop === 'string' ? [stop] : stop,
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
    level: request.shoal?.level ?? 'cross',
    awaitVerdict: request.shoal?.await_verdict ?? false,
    sampling: samplingOf(request),
  };
}

function samplingOf(request: z.infer<typeof chatRequest>): Partial<Sampling> {
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  return {
    ...(request.temperature != null && { temperature: request.temperature }),
    ...(request.top_p != null && { topP: request.top_p }),
    ...(request.frequency_penalty != null && { frequencyPenalty: request.frequency_penalty }),
    ...(request.presence_penalty != null && { presencePenalty: request.presence_penalty }),
    ...(request.seed != null && { seed: foldSeed(request.seed) }),
    ...(maxTokens != null && { maxTokens }),
  };
}

/** OpenAI's seeds are any integer; the engine's have 32 bits, with all ones meaning "random". */
export function foldSeed(seed: number): number {
  const modulus = 0xffff_ffff;
  return ((seed % modulus) + modulus) % modulus;
}

function withoutNeutralFields(body: Record<string, unknown>): Record<string, unknown> {
  const rest = Object.entries(body).filter(([field, value]) => {
    const isNeutral = NEUTRAL.get(field);
    if (isNeutral === undefined && !UNSUPPORTED.has(field)) return true;
    if (value !== null && isNeutral?.(value) !== true) throw unsupported(field);
    return false;
  });
  return Object.fromEntries(rest);
}

function unsupported(field: string): ShoalError {
  return new ShoalError('unsupported_field', `The field '${field}' is not supported with this value.`, {
    param: field,
  });
}

function fieldError(issue: z.core.$ZodIssue | undefined, body: Record<string, unknown>): ShoalError {
  if (issue === undefined) return new ShoalError('invalid_value', 'The request is not of the expected shape.');
  const param = pathText(issue.path);
  if (issue.code === 'unrecognized_keys') {
    const field = `${param === '' ? '' : `${param}.`}${issue.keys[0]}`;
    return new ShoalError('unknown_field', `The field '${field}' is unknown.`, { param: field });
  }
  if (valueAt(body, issue.path) === undefined) {
    return new ShoalError('missing_field', `The field '${param}' is missing.`, { param });
  }
  if (issue.code === 'invalid_union') {
    const inside = nearest(issue);
    if (inside !== null) return fieldError({ ...inside, path: [...issue.path, ...inside.path] }, body);
    return new ShoalError('invalid_type', `The field '${param}' is of a type that is not supported.`, { param });
  }
  if (issue.code === 'invalid_type') {
    return new ShoalError('invalid_type', `The field '${param}' must be of type ${issue.expected}.`, { param });
  }
  // Parts of a message's content: images and the like, which no tab takes yet.
  if (issue.path.includes('content') && issue.path.at(-1) === 'type') return unsupported(param);
  return new ShoalError('invalid_value', `The field '${param}' is out of range: ${describe(issue)}.`, { param });
}

function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i > 0 ? '.' : ''}${String(step)}`))
    .join('');
}

/** What is wrong inside the alternative whose type fits; null when none does. */
function nearest(issue: z.core.$ZodIssueInvalidUnion): z.core.$ZodIssue | null {
  const fitting = issue.errors.find(
    (issues) => !issues.some(({ code, path }) => code === 'invalid_type' && path.length === 0),
  );
  return fitting?.find(({ code }) => code !== 'unrecognized_keys') ?? fitting?.[0] ?? null;
}

function describe(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'too_small':
      return `at least ${issue.minimum}`;
    case 'too_big':
      return `at most ${issue.maximum}`;
    case 'invalid_value':
      return `one of ${issue.values.map((value) => `'${String(value)}'`).join(', ')}`;
    default:
      return 'see the README';
  }
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at: unknown = value;
  for (const step of path)
    at = typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[step] : undefined;
  return at;
}
