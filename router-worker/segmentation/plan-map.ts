import type { ModelEntry } from '../../shared/classes/catalogue.ts';
import { ShoalError } from '../../shared/errors.ts';
import { MAX_DOCUMENT_BYTES, MAX_DOCUMENT_PARTS } from '../../shared/limits.ts';
import type { MapRequest } from '../../shared/protocol/map-api.ts';
import { byteLength, cutDocument, type DocumentPart } from './cut-document.ts';

/** Tokens that a chat template spends on the frame of a conversation of one message, at most. */
const TEMPLATE_TOKENS = 32;

/**
 * Bytes of text a token stands for, as the sizes of parts are reckoned: the router has no tokenizer. English has four with a large vocabulary and three with a
 * small one; where it is less, the tab refuses the part before its first token, and the part is cut in two.
 */
const BYTES_PER_TOKEN = 3;

/** Share of the context that an answer has when the request does not say: a reduction must hold several. */
const ANSWER_SHARE = 1 / 8;

/** Share of a part that repeats the end of the one before it, when the request does not say. */
const OVERLAP_SHARE = 1 / 10;

/** Least room for the text of a part, tokens: below, the instruction leaves nothing to say it of. */
const LEAST_PART_TOKENS = 16;

/** How a document is cut, and what each answer may have. */
export interface MapPlan {
  readonly parts: readonly DocumentPart[];
  readonly partBytes: number;
  readonly overlapBytes: number;
  readonly instruction: string;
  readonly reduce: string | null;
  /** Of each answer. */
  readonly maxTokens: number;
  /** For the answers that one reduction reads, tokens as the tabs counted them. */
  readonly reduceTokens: number;
}

/** Sizes from the model's context. Throws errors of the vocabulary that name the field at fault. */
export function planMap(request: MapRequest, model: ModelEntry): MapPlan {
  const documentBytes = byteLength(request.document);
  if (documentBytes > MAX_DOCUMENT_BYTES) {
    throw new ShoalError(
      'invalid_value',
      `A document has at most ${MAX_DOCUMENT_BYTES} bytes; this one ${documentBytes}.`,
      {
        param: 'document',
      },
    );
  }
  const context = model.contextTokens - TEMPLATE_TOKENS;
  const maxTokens = Math.min(request.maxTokens ?? Math.floor(model.contextTokens * ANSWER_SHARE), context);
  const roomBeside = (text: string) => context - maxTokens - tokensOf(text);
  const room = roomBeside(request.instruction);
  if (room < LEAST_PART_TOKENS) throw tooLong('instruction', model);
  const asked = request.partBytes ?? (request.partTokens ?? room) * BYTES_PER_TOKEN;
  // What cannot fit whatever its tokens are is not asked of a tab.
  const partBytes = Math.min(
    asked,
    (model.contextTokens - 1) * model.longestTokenBytes - byteLength(request.instruction),
  );
  const overlapBytes = request.overlapBytes ?? Math.floor(partBytes * OVERLAP_SHARE);
  if (2 * overlapBytes >= partBytes) {
    throw new ShoalError('invalid_value', `The overlap must be less than half of a part of ${partBytes} bytes.`, {
      param: 'overlap_bytes',
    });
  }
  const reduceTokens = request.reduce === null ? 0 : roomBeside(request.reduce);
  if (request.reduce !== null && reduceTokens < 2 * maxTokens) throw tooLong('reduce', model);
  const parts = cutDocument(request.document, { partBytes, overlapBytes }).filter(({ text }) => text.trim() !== '');
  if (parts.length > MAX_DOCUMENT_PARTS) {
    throw new ShoalError(
      'invalid_value',
      `The document has ${parts.length} parts of ${partBytes} bytes; ${MAX_DOCUMENT_PARTS} are the most.`,
      { param: request.partTokens === null ? 'part_bytes' : 'part_tokens' },
    );
  }
  const { instruction, reduce } = request;
  return { parts, partBytes, overlapBytes, instruction, reduce, maxTokens, reduceTokens };
}

function tokensOf(text: string): number {
  return Math.ceil(byteLength(text) / BYTES_PER_TOKEN);
}

function tooLong(field: 'instruction' | 'reduce', model: ModelEntry): ShoalError {
  return new ShoalError(
    'context_length_exceeded',
    `Beside '${field}' and the answer, the context of ${model.contextTokens} tokens of ${model.id} has no room: shorten it, or ask for fewer 'max_tokens'.`,
    { param: field },
  );
}
