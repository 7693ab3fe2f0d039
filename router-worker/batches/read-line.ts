import { fromUtf8 } from '../../shared/bytes.ts';
import { MAX_REQUEST_BODY_BYTES } from '../../shared/limits.ts';
import type { BatchFault } from './batch-api.ts';
import { MAX_CUSTOM_ID_LENGTH } from './batch-limits.ts';

/** Longest line, bytes: a request of the largest size, and the frame around it. */
export const MAX_LINE_BYTES = MAX_REQUEST_BODY_BYTES + 4096;

export interface LineRequest {
  readonly customId: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** As the body names it; empty when it names none: the endpoint will refuse it by name. */
  readonly model: string;
}

export type ReadLine =
  | { readonly ok: true; readonly request: LineRequest }
  /** `customId`: as far as the line could be read. */
  | { readonly ok: false; readonly customId: string | null; readonly fault: BatchFault };

const LONGEST_MODEL_NAME = 128;
const BYTE_ORDER_MARK = /^\uFEFF/;

/** One line of an input file: `{"custom_id", "method": "POST", "url", "body"}`. Codes and texts of its faults are OpenAI's where it has them. */
export function readLine(bytes: Uint8Array | null, line: number, endpoint: string): ReadLine {
  let customId: string | null = null;
  const bad = (code: string, message: string, param: string | null = null): ReadLine => ({
    ok: false,
    customId,
    fault: { code, line, message, param },
  });

  if (bytes === null) return bad('line_too_long', `This line is longer than ${MAX_LINE_BYTES} bytes.`);
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytes).replace(BYTE_ORDER_MARK, ''));
  } catch {
    return bad('invalid_json_line', 'This line is not parseable as valid JSON.');
  }
  if (!isRecord(value)) return bad('invalid_json_line', 'This line is not one JSON object.');
  const { custom_id, method, url, body } = value;
  if (custom_id === undefined) {
    return bad('missing_required_parameter', "Missing required parameter: 'custom_id'.", 'custom_id');
  }
  if (typeof custom_id !== 'string' || custom_id === '' || custom_id.length > MAX_CUSTOM_ID_LENGTH) {
    return bad(
      'invalid_custom_id',
      `The 'custom_id' must be a text of 1 to ${MAX_CUSTOM_ID_LENGTH} characters.`,
      'custom_id',
    );
  }
  if (!custom_id.isWellFormed()) return bad('invalid_custom_id', "The 'custom_id' is not Unicode text.", 'custom_id');
  customId = custom_id;
  if (method !== 'POST') return bad('invalid_method', "The 'method' must be 'POST'.", 'method');
  if (url !== endpoint) {
    return bad('invalid_url', `The 'url' must be the batch's endpoint, '${endpoint}'.`, 'url');
  }
  if (!isRecord(body)) {
    return bad('missing_required_parameter', "Missing required parameter: 'body', one JSON object.", 'body');
  }
  const [surplus] = Object.keys(value).filter((field) => !['custom_id', 'method', 'url', 'body'].includes(field));
  if (surplus !== undefined) {
    const param = surplus.slice(0, 100);
    return bad('unknown_parameter', `Unknown parameter: '${param}'.`, param);
  }
  if (body.stream === true) {
    return bad('unsupported_parameter', "A line of a batch cannot be streamed: remove 'stream'.", 'body.stream');
  }
  const model = typeof body.model === 'string' && body.model.length <= LONGEST_MODEL_NAME ? body.model : '';
  return { ok: true, request: { customId, body, model } };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
