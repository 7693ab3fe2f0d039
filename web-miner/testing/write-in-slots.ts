import { type RawCompletionChunk, Wllama } from '@wllama/wllama/esm/index.js';
import type { GenerateRequest, LoadOptions } from '../engine/engine.ts';
import { samplingFields } from '../engine/wllama-engine.ts';

export interface SlotOptions {
  readonly slots: number;
  /** Whether all slots keep what they read in one cache, or each in its own. */
  readonly sharedCache: boolean;
}

/**
 * Answers several prompts at once in one engine, which the product never does: its adapter pins one slot. For measuring whether slots would matter.
 * Each has the context to itself; null where the engine fails.
 */
export async function writeInSlots(
  wasm: string,
  weights: Blob,
  options: LoadOptions & SlotOptions,
  requests: readonly GenerateRequest[],
): Promise<(string | null)[]> {
  const wllama = new Wllama({ default: wasm }, { logger: { debug() {}, log() {}, warn() {}, error() {} } });
  try {
    await wllama.loadModel([weights], {
      n_gpu_layers: 0,
      flash_attn: false,
      n_threads: options.threads,
      n_parallel: options.slots,
      kv_unified: options.sharedCache,
      n_ctx: options.contextTokens * options.slots,
      n_batch: options.batchTokens,
      n_ubatch: options.batchTokens,
      ctx_shift: false,
      warmup: false,
    });
    const texts: (string | null)[] = [];
    const waiting = requests.entries();
    // One taker a slot: a request beyond the slots would hang for ever.
    await Promise.all(
      Array.from({ length: options.slots }, async () => {
        for (const [index, request] of waiting) {
          texts[index] = await complete(wllama, request).catch(() => null);
        }
      }),
    );
    return texts;
  } finally {
    await wllama.exit().catch(() => undefined);
  }
}

async function complete(wllama: Wllama, request: GenerateRequest): Promise<string> {
  let text = '';
  await wllama.createCompletion({
    ...samplingFields(request.sampling),
    prompt: request.prompt,
    stop: [...request.stop],
    stream: true,
    onData: (chunk: RawCompletionChunk) => {
      text += chunk.choices[0]?.text ?? '';
    },
    ...({ cache_prompt: true } as object),
  });
  return text;
}
