import { type LogitProcessor, MLCEngine, ModelType } from '@mlc-ai/web-llm';
import * as v from 'valibot';
import { withDeadline } from '../../shared/deadline.ts';
import { abortError, EngineError, isAbort, type LoadOptions } from './engine.ts';
import { failureText } from './failure-text.ts';
import { type ShownFiles, showFiles } from './file-caches.ts';
import { contextOf, cutIntoFiles, type MlcConfig, type ModelFile, mlcConfig, stopTokensOf } from './model-files.ts';
import { readTokenTable, type TokenTable } from './token-table.ts';

/** A GPU that does not let go in time is left to the browser, which ends it with the worker, ms. */
const DISPOSE_DEADLINE_MS = 10_000;

/** What web-llm calls the one model that it has loaded. */
export const MODEL = 'model';

/** Names of the files that a folder must have, whatever its shards. */
const CONFIG_FILE = 'mlc-chat-config.json';
const TOKENIZER_FILE = 'tokenizer.json';
const LIBRARY_FILE = 'model-lib.wasm';

/** What of the package's inside is used: it has no public way to its tokenizer, nor to the news that the GPU is lost. Its version is pinned. */
interface Inside {
  readonly tokenizer: { encode(text: string): Int32Array };
  readonly tvm: { readonly lib: { readonly webGPUContext: { readonly device: Pick<GPUDevice, 'lost'> } } };
}

/** web-llm with one model on the graphics processor. */
export interface WebLlm {
  readonly mlc: MLCEngine;
  readonly inside: Inside;
  readonly options: LoadOptions;
  readonly config: MlcConfig;
  readonly table: TokenTable;
  readonly stopTokens: ReadonlySet<number>;
  /** Rejects when the GPU is lost or the engine is closed. */
  readonly over: Promise<never>;
  /** Gives the graphics processor's memory back. What waits fails with the reason. */
  close(failure: EngineError): Promise<void>;
}

/**
 * Loads a model from its files: nothing is fetched. `onLogits` gets a copy of what each step leaves. Throws {@link EngineError} and `AbortError`.
 */
export async function loadWebLlm(
  weights: Blob,
  parts: readonly ModelFile[],
  options: LoadOptions,
  onLogits: (logits: Float32Array) => void,
  signal: AbortSignal,
): Promise<WebLlm> {
  try {
    const files = cutIntoFiles(weights, parts);
    const described = await readDescription(files, options);
    signal.throwIfAborted();
    const showing = showFiles(files);
    const mlc = newEngine(showing, options, onLogits);
    const started = mlc.reload(MODEL);
    try {
      await raced(started, signal);
      const inside = insideOf(mlc);
      return { ...described, ...watch(mlc, inside), mlc, inside, options, stopTokens: stopTokensOf(described.config) };
    } catch (cause) {
      void started.catch(() => undefined).then(() => unload(mlc));
      throw cause;
    } finally {
      showing.hide(); // Whatever goes on in the background ends at the next file.
    }
  } catch (cause) {
    throw loadFailure(cause);
  }
}

function newEngine({ base }: ShownFiles, options: LoadOptions, onLogits: (logits: Float32Array) => void): MLCEngine {
  const catcher: LogitProcessor = {
    processLogits: (logits) => {
      onLogits(logits); // A copy of its own.
      return logits;
    },
    processSampledToken: () => undefined,
    resetState: () => undefined,
  };
  const record = {
    model: base,
    model_id: MODEL,
    model_lib: `${base}${LIBRARY_FILE}`,
    model_type: options.embeddings ? ModelType.embedding : ModelType.LLM,
    // The package samples as well, and what it finds is not used: the cheapest way.
    overrides: { temperature: 0, top_p: 1, repetition_penalty: 1, ...(!options.embeddings && contextFor(options)) },
  };
  return new MLCEngine({
    appConfig: { model_list: [record], useIndexedDBCache: false },
    logLevel: 'SILENT',
    logitProcessorRegistry: new Map([[MODEL, catcher]]),
  });
}

function contextFor({ contextTokens }: LoadOptions): object {
  return { context_window_size: contextTokens, sliding_window_size: -1, attention_sink_size: -1 };
}

async function readDescription(
  files: ReadonlyMap<string, Blob>,
  { contextTokens, embeddings }: LoadOptions,
): Promise<Pick<WebLlm, 'config' | 'table'>> {
  const [configFile, tokenizerFile] = [CONFIG_FILE, TOKENIZER_FILE, LIBRARY_FILE].map((name) => {
    const file = files.get(name);
    if (file === undefined) throw new EngineError('load_failed', `The model has no ${name}.`);
    return file;
  });
  const config = v.parse(mlcConfig, JSON.parse((await configFile?.text()) ?? ''));
  if (contextTokens > contextOf(config)) {
    throw new EngineError('load_failed', `The model was made for ${contextOf(config)} tokens, not ${contextTokens}.`);
  }
  if (embeddings && contextTokens !== contextOf(config)) {
    throw new EngineError(
      'load_failed',
      `This embedding model takes ${contextOf(config)} tokens, not ${contextTokens}.`,
    );
  }
  const method = config.tokenizer_info?.token_postproc_method ?? config.token_table_postproc_method ?? null;
  const table = readTokenTable((await tokenizerFile?.text()) ?? '', method === 'raw' ? null : method);
  return { config, table };
}

/** The load's end, or the signal's. */
async function raced(started: Promise<void>, signal: AbortSignal): Promise<void> {
  const stop = Promise.withResolvers<never>();
  const onAbort = () => stop.reject(abortError());
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([started, stop.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function insideOf(mlc: MLCEngine): Inside {
  const { loadedModelIdToPipeline: pipelines } = mlc as unknown as {
    readonly loadedModelIdToPipeline: ReadonlyMap<string, Inside>;
  };
  const inside = pipelines.get(MODEL);
  if (typeof inside?.tokenizer.encode !== 'function' || inside.tvm.lib.webGPUContext.device.lost === undefined) {
    throw new EngineError('load_failed', 'The engine came up without a model.');
  }
  return inside;
}

function watch(mlc: MLCEngine, inside: Inside): Pick<WebLlm, 'over' | 'close'> {
  const over = Promise.withResolvers<never>();
  over.promise.catch(() => undefined);
  void inside.tvm.lib.webGPUContext.device.lost.then(({ message }) => {
    const reason = message === '' ? 'the browser gave no reason' : message;
    over.reject(new EngineError('crashed', `The graphics processor was lost: ${reason}.`));
  });
  const close = (failure: EngineError) => {
    over.reject(failure);
    return unload(mlc);
  };
  return { over: over.promise, close };
}

async function unload(mlc: MLCEngine): Promise<void> {
  // The package throws when it unloads twice, as it does by itself when the GPU is lost.
  const unloaded = mlc.unload().catch(() => undefined);
  await withDeadline(unloaded, DISPOSE_DEADLINE_MS, undefined);
}

function loadFailure(cause: unknown): unknown {
  if (isAbort(cause)) return abortError();
  if (cause instanceof EngineError) return cause;
  return new EngineError('load_failed', `The model could not be loaded: ${failureText(cause)}`);
}
