/**
 * Shoal's client: OpenAI's calls with the prompt sealed in the page, and receipts that verify offline, in Node and in browsers. This file is the
 * whole public surface.
 */
export type { Verdict } from '../shared/checking/verdict.ts';
export { type ErrorCode, ShoalError } from '../shared/errors.ts';
export type { Receipt } from '../shared/receipt/receipt.ts';
export type { ReceiptVerification, VerifyOptions } from '../shared/receipt/verify.ts';
export type { Completion, CompletionChunk } from '../shared/sealed-task/completion.ts';
export type { TaskUpdate } from '../shared/sealed-task/sealed-task.ts';
export type { EmbeddingParams, Embeddings } from './embeddings.ts';
export {
  type AnswerTraffic,
  type CallOptions,
  type Question,
  type SealedAnswer,
  SealedClient,
  type SealedClientOptions,
} from './sealed-client.ts';
export { type ChatParams, type ChatStream, Shoal } from './shoal.ts';
export { verifyReceipt } from './verify-receipt.ts';
