import { expect, it } from 'vitest';
import { EngineError } from './engine.ts';
import { loadWebLlm } from './web-llm-load.ts';

/** What comes before a graphics processor is needed; the rest is in the exam, where there is one. */

const OPTIONS = { contextTokens: 4096, threads: 1, batchTokens: 16, embeddings: false };
const NEVER = new AbortController().signal;

function folder(files: Readonly<Record<string, string>>) {
  const parts = Object.entries(files).map(([name, text]) => ({ name, bytes: new Blob([text]).size }));
  return { weights: new Blob(Object.values(files)), parts };
}

const load = ({ weights, parts }: ReturnType<typeof folder>, signal = NEVER) =>
  loadWebLlm(weights, parts, OPTIONS, () => undefined, signal);

const CONFIG = JSON.stringify({ context_window_size: 2048, vocab_size: 4 });

it('says what a model folder lacks, and what it was made for', async () => {
  await expect(load(folder({ 'params_shard_0.bin': 'x' }))).rejects.toEqual(
    new EngineError('load_failed', 'The model has no mlc-chat-config.json.'),
  );
  const whole = { 'mlc-chat-config.json': '{', 'tokenizer.json': '{}', 'model-lib.wasm': 'x' };
  await expect(load(folder(whole))).rejects.toMatchObject({ name: 'EngineError', reason: 'load_failed' });
  const small = { ...whole, 'mlc-chat-config.json': CONFIG };
  await expect(load(folder(small))).rejects.toMatchObject({ reason: 'load_failed' });
});
