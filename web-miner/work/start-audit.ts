import * as v from 'valibot';
import { type Bytes, sha256, toBytes, toHex } from '../../shared/bytes.ts';
import {
  type Arithmetic,
  CATALOGUE_PATH,
  catalogue,
  chatFormOf,
  EXACT_ARITHMETIC,
  type ServedVariant,
  servedClasses,
} from '../../shared/classes/catalogue.ts';
import { isExactClass } from '../../shared/classes/class-id.ts';
import { ENGINE_BUILDS, type EngineBuild, enginePath } from '../../shared/classes/wllama-build.ts';
import { matchTranscript, type TranscriptMatch } from '../../shared/receipt/match-transcript.ts';
import { parseTranscript } from '../../shared/receipt/transcript.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import type { Engine } from '../engine/engine.ts';
import { promptRenderer } from '../engine/render-prompt.ts';
import { ENGINE_DEADLINES, Watchdog } from '../engine/watchdog.ts';
import { type DownloadProgress, fetchWeights, ModelDownloadError } from '../models/model-store.ts';
import { type AuditResult, compareWithModel, readWithModel } from './audit.ts';
import { batchTokensFor } from './load-model.ts';

/** Where an audit is on its way from two files to its finding. */
export type AuditPhase =
  | { readonly phase: 'verifying' }
  | { readonly phase: 'downloading'; readonly model: string; readonly progress: DownloadProgress }
  | { readonly phase: 'loading'; readonly model: string }
  | { readonly phase: 'writing'; readonly model: string; readonly tokens: number };

/** Only `agrees` and `fits` speak for the tab, and only `differs` proves something against it. */
export type AuditFinding =
  | AuditResult
  /** Receipt and transcript do not belong together. */
  | { readonly result: 'mismatch'; readonly mismatch: Exclude<TranscriptMatch, { readonly match: 'same' }> }
  /** The receipt itself does not hold: whatever it says of the answer is nobody's word. */
  | { readonly result: 'refused'; readonly problems: readonly string[] }
  /** No model and engine that are served here form the receipt's class. */
  | { readonly result: 'class_unknown'; readonly class: string; readonly atHand: readonly string[] };

export interface AuditRequest {
  /** Where model and engine come from. Both are checked against the digests that make up the class. */
  readonly origin: string;
  /** As they were saved; hostile. */
  readonly receipt: unknown;
  readonly transcript: unknown;
  /** The router's Ed25519 key that the reader trusts. */
  readonly routerKey: string;
  /** An engine around the WebAssembly at this address. */
  readonly engineAt: (wasmUrl: string, arithmetic: Arithmetic) => Engine;
  readonly onPhase: (phase: AuditPhase) => void;
}

const FETCH_DEADLINE_MS = 60_000;
/** Nobody but the reader waits: a long answer may be read for half an hour on a slow device, ms. */
const AUDIT_DEADLINES = { ...ENGINE_DEADLINES, wholeMs: 30 * 60_000 };

/**
 * From two files to a finding: verifies the receipt, reads the transcript, finds model and engine of the class, writes the answer again. Throws `ShoalError` for a
 * transcript that is none, {@link ModelDownloadError}, `EngineError`, or `AbortError` when stopped.
 */
export async function runAudit(request: AuditRequest, signal: AbortSignal): Promise<AuditFinding> {
  const { onPhase } = request;
  onPhase({ phase: 'verifying' });
  const transcript = parseTranscript(request.transcript);
  const { valid, problems, receipt } = await verifyReceipt(request.receipt, { routerKey: request.routerKey });
  if (!valid || receipt === null) return { result: 'refused', problems };
  const match = await matchTranscript(receipt, transcript);
  if (match.match !== 'same') return { result: 'mismatch', mismatch: match };
  const variants = await auditableVariants(request.origin, signal);
  const served = variants.find((variant) => variant.class === receipt.class);
  if (served === undefined) {
    const atHand = variants.map((one) => `${nameOf(one)} with ${one.build.engine} (${one.class})`);
    return { result: 'class_unknown', class: match.commit.class, atHand };
  }
  const engine = await loadClass(request, served, signal);
  let tokens = 0;
  const wrote = (more: number) => {
    tokens += more;
    onPhase({ phase: 'writing', model: nameOf(served), tokens });
  };
  try {
    const work = { engine, renderer: promptRenderer(chatFormOf(served.model)) };
    const exchange = { receipt, commit: match.commit, transcript };
    if (!isExactClass(served.class)) return await readWithModel(exchange, work, signal);
    return await compareWithModel(exchange, work, { accepted: () => wrote(0), wrote }, signal);
  } finally {
    await engine.dispose();
  }
}

interface AuditableVariant extends ServedVariant {
  readonly build: EngineBuild;
}

/** Every model of the catalogue with every engine build that is still served. */
async function auditableVariants(origin: string, signal: AbortSignal): Promise<AuditableVariant[]> {
  const response = await fetchWhole(new URL(CATALOGUE_PATH, origin), signal);
  const parsed = v.safeParse(catalogue, parseJson(response));
  if (!parsed.success) throw new ModelDownloadError('The catalogue of models is not readable.');
  const each = await Promise.all(
    ENGINE_BUILDS.map(async (build) =>
      (await servedClasses(parsed.output, build)).map((served) => ({ ...served, build })),
    ),
  );
  return each.flat();
}

/** Engine and weights of a class, each checked against the digest that the class names: who serves them need not be trusted. */
async function loadClass(request: AuditRequest, served: AuditableVariant, signal: AbortSignal): Promise<Engine> {
  const { origin, onPhase, engineAt } = request;
  const model = nameOf(served);
  const weights = await fetchWeights(
    origin,
    served.variant,
    (progress) => onPhase({ phase: 'downloading', model, progress }),
    signal,
    { name: model },
  );
  onPhase({ phase: 'loading', model });
  const { sha256: digest } = served.variant.weights;
  if (toHex(await sha256(toBytes(await weights.arrayBuffer()))) !== digest) {
    throw new ModelDownloadError(`The weights are not those of the class: their digest is not ${digest}.`);
  }
  const wasm = await fetchWhole(new URL(enginePath(served.build), origin), signal);
  if (toHex(await sha256(wasm)) !== served.build.engineBuild) {
    throw new ModelDownloadError(`The engine is not that of the class: its digest is not ${served.build.engineBuild}.`);
  }
  const wasmUrl = URL.createObjectURL(new Blob([wasm], { type: 'application/wasm' }));
  try {
    // What a graphics processor wrote is read by the processor, which every device has.
    const arithmetic = served.arithmetic.backend === 'cpu' ? served.arithmetic : EXACT_ARITHMETIC;
    const engine = new Watchdog(() => engineAt(wasmUrl, arithmetic), { deadlines: AUDIT_DEADLINES });
    const batchTokens = batchTokensFor(served.variant.weights.bytes);
    const { contextTokens } = served.model;
    await engine.load(weights, { contextTokens, threads: 1, batchTokens, embeddings: false }, signal);
    return engine;
  } finally {
    URL.revokeObjectURL(wasmUrl);
  }
}

function nameOf({ model, variant }: ServedVariant): string {
  return `${model.id}:${variant.id}`;
}

async function fetchWhole(url: URL, signal: AbortSignal): Promise<Bytes> {
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(FETCH_DEADLINE_MS)]) });
  } catch (cause) {
    signal.throwIfAborted();
    throw new ModelDownloadError(`${url.pathname} could not be fetched: ${String(cause)}.`);
  }
  if (!response.ok) throw new ModelDownloadError(`${url.pathname} could not be fetched: ${response.status}.`);
  return toBytes(await response.arrayBuffer());
}

function parseJson(bytes: Bytes): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}
