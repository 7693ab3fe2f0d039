import * as v from 'valibot';
import { ShoalError } from '../errors.ts';
import { MAX_ANSWER_BYTES } from '../limits.ts';
import { type ChatRequest, parseChatRequest } from '../protocol/chat-api.ts';
import { bytes16, unicodeText } from '../protocol/fields.ts';
import { tailOf } from '../protocol/task-ids.ts';

/**
 * The saved exchange of an OpenAI client: `{"request": …, "response": …}`, the body of `POST /v1/chat/completions` and the JSON that answered it, or the list of all chunks
 * of a stream. The client package answers in the same shapes, so a private exchange is saved the same way.
 */
export interface Transcript {
  readonly request: ChatRequest;
  /** Tail of the task's ids, as the answer names it. */
  readonly task: string;
  readonly answer: string;
  readonly finish: 'stop' | 'length';
  /** 16 bytes, base64url: opens the salted digests of the receipt. */
  readonly salt: string;
}

const record = v.record(v.string(), v.unknown());
const outer = v.object({ request: record, response: v.union([v.array(record), record]) });

const completion = v.object({
  choices: v.tuple(
    [
      v.object({
        message: v.object({ content: v.pipe(unicodeText, v.maxLength(MAX_ANSWER_BYTES)) }),
        finish_reason: v.picklist(['stop', 'length']),
      }),
    ],
    'exactly one answer is expected',
  ),
  shoal: v.object({ receipt: v.pipe(v.string(), v.maxLength(200)), salt: bytes16 }),
});

const chunk = v.object({
  choices: v.array(
    v.object({
      delta: v.object({ content: v.optional(v.nullable(v.string())) }),
      finish_reason: v.nullable(v.string()),
    }),
  ),
  shoal: v.optional(v.unknown()),
});

/**
 * Parses what somebody saved. Throws the error of the vocabulary that names the field at fault, as in `response.shoal.salt`: `missing_field` for one that is
 * not there, `invalid_value` for one of the wrong shape, and for the request whatever the router would have answered.
 */
export function parseTranscript(input: unknown): Transcript {
  const saved = v.safeParse(outer, input);
  if (!saved.success) throw fieldError(saved.issues[0], '');
  const { response } = saved.output;
  const answered = v.safeParse(completion, Array.isArray(response) ? wholeOf(response) : response);
  if (!answered.success) throw fieldError(answered.issues[0], 'response.');
  const { choices, shoal } = answered.output;
  const [{ message, finish_reason: finish }] = choices;
  return {
    request: parseRequest(saved.output.request),
    task: taskOf(shoal.receipt),
    answer: message.content,
    finish,
    salt: shoal.salt,
  };
}

/** The answer that a stream's chunks add up to. */
function wholeOf(response: readonly unknown[]): unknown {
  const parsed = v.safeParse(v.array(chunk), response);
  if (!parsed.success) throw fieldError(parsed.issues[0], 'response.');
  const chunks = parsed.output;
  const choices = chunks.flatMap((one) => one.choices);
  const content = choices.map(({ delta }) => delta.content ?? '').join('');
  const finish = choices.findLast(({ finish_reason: reason }) => reason !== null)?.finish_reason;
  return {
    choices: [{ message: { content }, finish_reason: finish }],
    shoal: chunks.findLast(({ shoal }) => shoal !== undefined)?.shoal,
  };
}

function parseRequest(body: unknown): ChatRequest {
  try {
    return parseChatRequest(body);
  } catch (cause) {
    if (!(cause instanceof ShoalError)) throw cause;
    const param = cause.param === null ? 'request' : `request.${cause.param}`;
    throw new ShoalError(cause.code, `The transcript's request: ${cause.message}`, { param, cause });
  }
}

function taskOf(receipt: string): string {
  try {
    return tailOf(receipt);
  } catch (cause) {
    const param = 'response.shoal.receipt';
    throw new ShoalError('invalid_value', `The transcript's '${param}' is no receipt's id.`, { param, cause });
  }
}

function fieldError(issue: v.BaseIssue<unknown>, before: string): ShoalError {
  const path = v.getDotPath(issue);
  if (path === null) {
    return new ShoalError('invalid_type', 'A transcript is one JSON object with a request and a response.');
  }
  const param = `${before}${path}`;
  return issue.received === 'undefined'
    ? new ShoalError('missing_field', `The transcript lacks '${param}'.`, { param })
    : new ShoalError('invalid_value', `The transcript's '${param}' is not as an answer of this network has it.`, {
        param,
      });
}
