import * as v from 'valibot';
import { ShoalError } from '../errors.ts';
import {
  MAX_CHOICES,
  MAX_MESSAGES,
  MAX_OUTPUT_TOKENS,
  MAX_REDUNDANCY,
  MAX_STOP_LENGTH,
  MAX_STOP_STRINGS,
} from '../limits.ts';
import { fieldError, isRecord, unsupported } from './field-errors.ts';
import { unicodeText } from './fields.ts';
import { refuseInheritedNames } from './inherited-names.ts';
import type { Sampling } from './lease.ts';
import { checks, type Level, level } from './level.ts';
import type { ChatMessage } from './sealed-body.ts';

/**
 * `POST /v1/chat/completions`, OpenAI's shape. Every field is honoured, accepted only in the value that changes nothing, or refused by name.
 * Nothing is ignored in silence.
 */

const textPart = v.strictObject({ type: v.literal('text'), text: unicodeText });
const content = v.union([unicodeText, v.array(textPart)]);

const requestMessage = v.strictObject({
  role: v.picklist(['system', 'developer', 'user', 'assistant']),
  content,
  name: v.optional(v.string()),
});

/** Sampling fields that chats, completions and maps share. */
const number = (low: number, high: number) =>
  v.optional(v.nullable(v.pipe(v.number(), v.minValue(low), v.maxValue(high))));
export const tokens = v.optional(
  v.nullable(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(MAX_OUTPUT_TOKENS))),
);
const stopString = v.pipe(unicodeText, v.minLength(1), v.maxLength(MAX_STOP_LENGTH));

export const samplingFields = {
  temperature: number(0, 2),
  top_p: number(0, 1),
  frequency_penalty: number(-2, 2),
  presence_penalty: number(-2, 2),
  seed: v.optional(v.nullable(v.pipe(v.number(), v.safeInteger()))),
  stop: v.optional(v.nullable(v.union([stopString, v.pipe(v.array(stopString), v.maxLength(MAX_STOP_STRINGS))]))),
};

export const streamFields = {
  stream: v.optional(v.nullable(v.boolean())),
  stream_options: v.optional(v.nullable(v.strictObject({ include_usage: v.optional(v.boolean()) }))),
};

/** Answers to one prompt, each by a task of its own. */
export const choices = v.optional(
  v.nullable(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(MAX_CHOICES))),
);

/** A session that was set up: `sess_…`. */
export const sessionName = v.optional(v.pipe(v.string(), v.maxLength(128)));

export const checking = {
  /** How the answer is checked. */
  level: v.optional(v.nullable(level)),
  /** Other tabs that must write the same, where the answer is checked: 1 unless it says more. */
  checks: v.optional(checks),
  /** Keep the response open until the verdict is there, and put it into the last event. */
  await_verdict: v.optional(v.boolean()),
};

const chatRequest = v.strictObject({
  model: v.pipe(v.string(), v.minLength(1), v.maxLength(128)),
  messages: v.pipe(v.array(requestMessage), v.maxLength(MAX_MESSAGES)),
  ...streamFields,
  max_tokens: tokens,
  max_completion_tokens: tokens,
  ...samplingFields,
  n: choices,
  user: v.optional(v.string()),
  shoal: v.optional(
    v.strictObject({
      ...checking,
      /** Tabs that write the same answer, of which one is chosen. */
      redundancy: v.optional(
        v.nullable(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(MAX_REDUNDANCY))),
      ),
      session: sessionName,
      /** Verify and quote, and do nothing. */
      dry_run: v.optional(v.boolean()),
      /** Give the task's name at once; its answer is fetched later. */
      background: v.optional(v.boolean()),
    }),
  ),
});

/** Standard fields that change nothing at these values; at any other value they are refused by name. */
const NEUTRAL = new Map<string, (value: unknown) => boolean>(
  Object.entries({
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
  /** Null when the request does not say. */
  readonly level: Level | null;
  readonly checks: 1 | 2 | 3;
  readonly awaitVerdict: boolean;
  /** Null: the conversation has an implicit one. */
  readonly session: string | null;
  readonly dryRun: boolean;
  /** Whether the response is the task's name, and the answer is fetched when it is there. */
  readonly background: boolean;
  /** Answers to the prompt, each with a seed of its own. */
  readonly n: number;
  /** Tabs that write the same answer. */
  readonly redundancy: number;
  /** Only what the request sets. */
  readonly sampling: Partial<Sampling>;
}

/** Parses the body of a chat request. Throws an error of the vocabulary that names the field at fault. */
export function parseChatRequest(body: unknown): ChatRequest {
  if (!isRecord(body)) throw new ShoalError('invalid_json', 'The body must be one JSON object.');
  refuseInheritedNames(body);
  const parsed = v.safeParse(chatRequest, withoutNeutralFields(body));
  if (!parsed.success) throw fieldError(parsed.issues[0], body);
  const request = parsed.output;
  const messages = request.messages.map((message) => ({
    role: message.role === 'developer' ? ('system' as const) : message.role,
    content: typeof message.content === 'string' ? message.content : message.content.map((p) => p.text).join('\n'),
  }));
  const named = request.messages.findIndex((message) => message.name !== undefined);
  if (named >= 0) throw unsupported(`messages[${named}].name`);
  if (messages.every((message) => message.content.trim() === '')) {
    throw new ShoalError('empty_messages', 'The conversation has no text.', { param: 'messages' });
  }
  if ((request.n ?? 1) > 1 && (request.shoal?.redundancy ?? 1) > 1) {
    throw new ShoalError('invalid_value', "Several choices cannot be redundant too: ask for 'n' or for redundancy.", {
      param: 'shoal.redundancy',
    });
  }
  const { max_tokens: older, max_completion_tokens: newer } = request;
  if (older != null && newer != null && older !== newer) {
    throw new ShoalError('invalid_value', "'max_tokens' and 'max_completion_tokens' differ.", { param: 'max_tokens' });
  }
  const maxTokens = newer ?? older;
  return {
    model: request.model,
    messages,
    stop: stopsOf(request),
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
    level: request.shoal?.level ?? null,
    checks: request.shoal?.checks ?? 1,
    awaitVerdict: request.shoal?.await_verdict ?? false,
    n: request.n ?? 1,
    redundancy: request.shoal?.redundancy ?? 1,
    session: request.shoal?.session ?? null,
    dryRun: request.shoal?.dry_run ?? false,
    background: request.shoal?.background ?? false,
    sampling: { ...samplingOf(request), ...(maxTokens != null && { maxTokens }) },
  };
}

type SamplingFields = { [Field in keyof typeof samplingFields]?: v.InferOutput<(typeof samplingFields)[Field]> };

export function stopsOf({ stop }: Pick<SamplingFields, 'stop'>): readonly string[] {
  return typeof stop === 'string' ? [stop] : (stop ?? []);
}

/** Only what the request sets. */
export function samplingOf(request: Omit<SamplingFields, 'stop'>): Partial<Sampling> {
  return {
    ...(request.temperature != null && { temperature: request.temperature }),
    ...(request.top_p != null && { topP: request.top_p }),
    ...(request.frequency_penalty != null && { frequencyPenalty: request.frequency_penalty }),
    ...(request.presence_penalty != null && { presencePenalty: request.presence_penalty }),
    ...(request.seed != null && { seed: foldSeed(request.seed) }),
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
