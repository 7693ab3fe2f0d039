import type { Engine, LoadOptions } from '../engine/engine.ts';
import type { ExamLengths, ExamSubject } from '../engine/engine-exam.ts';
import type { ModelFile } from '../engine/model-files.ts';
import { WebLlmEngine } from '../engine/web-llm-engine.ts';

/** What the command that runs web-llm's exam decides. */
export interface WebLlmSubject {
  readonly contextTokens: number;
  readonly prompt: string;
  readonly lengths?: ExamLengths;
  readonly stepDeadlineMs: number;
}

function chosenFiles(): File[] {
  return [...(document.querySelector<HTMLInputElement>('#weights')?.files ?? [])];
}

function joined(files: readonly File[]): { readonly weights: Blob; readonly files: readonly ModelFile[] } {
  return { weights: new Blob([...files]), files: files.map(({ name, size }) => ({ name, bytes: size })) };
}

/** GPU devices that this page has asked for, the latest last. */
const devices: GPUDevice[] = [];

function rememberDevices(): void {
  if (devices.length > 0 || !('GPUAdapter' in globalThis)) return;
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (this: GPUAdapter, ...args) {
    const device = await requestDevice.apply(this, args);
    devices.push(device);
    return device;
  };
}

let kept: { readonly engine: Engine; readonly options: string } | null = null;

/** One engine serves all cases that are not about loading: it takes a minute to load on an adapter that only imitates a GPU. */
async function keptEngine(open: () => Engine, weights: Blob, options: LoadOptions): Promise<Engine> {
  const asked = JSON.stringify({ ...options, batchTokens: 0 });
  if (kept?.options !== asked) {
    await kept?.engine.dispose();
    const engine = open();
    await engine.load(weights, options, new AbortController().signal);
    kept = { engine, options: asked };
  }
  const { engine } = kept;
  return {
    load: (...args) => engine.load(...args),
    generate: (...args) => engine.generate(...args),
    embed: (...args) => engine.embed(...args),
    probe: (...args) => engine.probe(...args),
    force: (...args) => engine.force(...args),
    dispose: async () => undefined,
  };
}

/** web-llm with the files that lie in the page's file input. */
export async function webLlmSubject({ stepDeadlineMs, ...part }: WebLlmSubject): Promise<ExamSubject> {
  rememberDevices();
  const { weights, files } = joined(chosenFiles());
  // No other engine may hold the memory of a device that a case loads by itself.
  const open = () => {
    void kept?.engine.dispose();
    kept = null;
    return new WebLlmEngine(files, stepDeadlineMs);
  };
  return {
    ...part,
    open,
    weights,
    brokenWeights: [
      new Blob(['not a model at all']),
      withZerosIn('mlc-chat-config.json', weights, files),
      withZerosIn('model-lib.wasm', weights, files),
    ],
    loaded: (options) => keptEngine(() => new WebLlmEngine(files, stepDeadlineMs), weights, options),
    loseDevice: () => devices.at(-1)?.destroy(),
  };
}

/** As long as it was, and the first half of one file is zeros. */
function withZerosIn(name: string, weights: Blob, files: readonly ModelFile[]): Blob {
  const index = files.findIndex((file) => file.name === name);
  const from = files.slice(0, index).reduce((sum, { bytes }) => sum + bytes, 0);
  const zeros = (files[index]?.bytes ?? 0) >> 1;
  return new Blob([weights.slice(0, from), new Uint8Array(zeros), weights.slice(from + zeros)]);
}
