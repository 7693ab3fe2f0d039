import { AlteringEngine, oneTokenAltered } from '../../router-worker/testing/altering-engine.ts';
import { sha256, toBytes, toHex } from '../../shared/bytes.ts';
import type { ForcedToken } from '../../shared/checking/next-token.ts';
import { type ChatForm, EXACT_ARITHMETIC, type VariantEntry } from '../../shared/classes/catalogue.ts';
import { NO_LINKS } from '../../shared/peer/direct-links.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';
import { matchTranscript } from '../../shared/receipt/match-transcript.ts';
import { parseTranscript } from '../../shared/receipt/transcript.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import {
  EngineError,
  type ForceRequest,
  type GenerateRequest,
  type ProbeRequest,
  type ProbeResult,
} from '../engine/engine.ts';
import { ENGINE_EXAM, type ExamSubject } from '../engine/engine-exam.ts';
import { promptRenderer } from '../engine/render-prompt.ts';
import { WllamaEngine } from '../engine/wllama-engine.ts';
import { wllamaWasmUrl } from '../engine/wllama-wasm.ts';
import { createStoredIdentity, identityFrom } from '../identity/tab-identity.ts';
import { type DownloadProgress, fetchWeights } from '../models/model-store.ts';
import { type StoredModel, storedModels } from '../models/stored-models.ts';
import { probeGpu } from '../preflight/gpu.ts';
import { compareWithModel, type SignedExchange } from '../work/audit.ts';
import { batchTokensFor } from '../work/load-model.ts';
import { Lending, type LendingPhase } from '../work/start-lending.ts';
import { HostedTabs } from './hostile/hosted-tabs.ts';
import { textOf, writtenBy } from './hostile/written-answer.ts';
import type { WebLlmSubject } from './web-llm-subject.ts';
import { type SlotOptions, writeInSlots } from './write-in-slots.ts';

/** A page for tests only: real wllama sits the exam, and a tab with a real engine tells one lie. Never part of the product's build. */

const wasm = new URL(wllamaWasmUrl, location.href).href;

async function examine(title: string, subject: ExamSubject): Promise<string | null> {
  const examCase = ENGINE_EXAM.find((one) => one.title === title);
  if (examCase === undefined) return 'there is no such case';
  try {
    await examCase.run(subject);
    return null;
  } catch (cause) {
    return cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
  }
}

/** `null` for what the engine says it cannot do; other errors are thrown. */
async function eachInTurn<Request, Result>(
  requests: readonly Request[],
  ask: (engine: WllamaEngine, request: Request) => Promise<Result>,
): Promise<(Result | null)[]> {
  if (api.engine === null) throw new Error('no engine is loaded');
  const results: (Result | null)[] = [];
  for (const request of requests) {
    try {
      results.push(await ask(api.engine, request));
    } catch (cause) {
      if (!(cause instanceof EngineError) || cause.reason !== 'unsupported') throw cause;
      results.push(null);
    }
  }
  return results;
}

const api = {
  /** Runs one case of the exam on real wllama with the weights at this address; `null` when it passes. */
  async runCase(title: string, weightsUrl: string): Promise<string | null> {
    const weights = await (await fetch(weightsUrl)).blob();
    return examine(title, {
      open: () => new WllamaEngine(wasm),
      weights,
      brokenWeights: [new Blob(['not a model at all']), weights.slice(0, 200_000)],
      contextTokens: 512,
      prompt:
        '<|start_header_id|>user<|end_header_id|>\n\nTell me a long story about a robot and friendship.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n',
    });
  },

  /** The same on real web-llm, with the files that lie in the page's file input. */
  async runWebLlmCase(title: string, part: WebLlmSubject): Promise<string | null> {
    const { webLlmSubject } = await import('./web-llm-subject.ts');
    return examine(title, await webLlmSubject(part));
  },

  gpu: () => probeGpu(),

  engine: null as WllamaEngine | null,

  /** The engine alone; `batchTokens` null: as a lending tab loads it. Returns the threads it runs. */
  async loadEngine(
    variant: VariantEntry,
    options: { readonly contextTokens: number; readonly threads: number; readonly batchTokens: number | null },
  ): Promise<number> {
    const { signal } = new AbortController();
    const weights = await fetchWeights(location.origin, variant, () => undefined, signal);
    const batchTokens = options.batchTokens ?? batchTokensFor(variant.weights.bytes);
    await api.engine?.dispose();
    api.engine = new WllamaEngine(wasm);
    return (await api.engine.load(weights, { ...options, batchTokens, embeddings: false }, signal)).threads;
  },

  /** The weights as a lending tab fetches them, and what the browser keeps then. Rejects as the fetch does. */
  async fetchModel(variant: VariantEntry): Promise<{
    readonly digest: string;
    readonly progress: DownloadProgress | null;
    readonly stored: readonly StoredModel[] | null;
  }> {
    let last: DownloadProgress | null = null;
    const tell = (progress: DownloadProgress) => {
      last = progress;
      api.loadedBytes = progress.loadedBytes;
    };
    const weights = await fetchWeights(location.origin, variant, tell, new AbortController().signal, { name: 'a:b' });
    const digest = toHex(await sha256(toBytes(await weights.arrayBuffer())));
    return { digest, progress: last, stored: await storedModels() };
  },
  loadedBytes: 0,

  /** One whole answer, with nothing around the engine. */
  async generateOne(
    prompt: string,
    sampling: Sampling,
  ): Promise<{ readonly text: string; readonly finish: 'stop' | 'length' }> {
    if (api.engine === null) throw new Error('no engine is loaded');
    let text = '';
    let finish: 'stop' | 'length' = 'stop';
    for await (const event of api.engine.generate({ prompt, sampling, stop: [] }, new AbortController().signal)) {
      if (event.type === 'delta') text += event.text;
      else if (event.type === 'end') finish = event.finish;
    }
    return { text, finish };
  },

  /** The engine alone, with the file that lies in the page's file input: models that no catalogue lists, and arithmetics that no tab offers. */
  async loadFile(options: {
    readonly contextTokens: number;
    readonly threads: number;
    readonly batchTokens: number;
    readonly embeddings: boolean;
    readonly flashAttention: boolean;
  }): Promise<void> {
    const weights = document.querySelector<HTMLInputElement>('#weights')?.files?.[0];
    if (weights === undefined) throw new Error('no file was chosen');
    await api.engine?.dispose();
    api.engine = new WllamaEngine(wasm, { ...EXACT_ARITHMETIC, flashAttention: options.flashAttention });
    await api.engine.load(weights, options, new AbortController().signal);
  },

  /** Reads these answers token by token, one after the other; `null` where the engine cannot. */
  async forceAll(requests: readonly ForceRequest[]): Promise<readonly (readonly ForcedToken[] | null)[]> {
    return eachInTurn(requests, (engine, request) => engine.force(request, new AbortController().signal));
  },

  /** Answers these questions by the log-probabilities of the choices; `null` where the engine cannot. */
  async probeAll(requests: readonly ProbeRequest[]): Promise<readonly (ProbeResult | null)[]> {
    return eachInTurn(requests, (engine, request) => engine.probe(request, new AbortController().signal));
  },

  async embedAll(texts: readonly string[]): Promise<readonly (readonly number[] | null)[]> {
    return eachInTurn(texts, async (engine, text) => [
      ...(await engine.embed(text, new AbortController().signal)).vector,
    ]);
  },

  /** Answers these prompts, one after the other, with nothing around the engine. */
  async generateAll(
    prompts: readonly string[],
    sampling: Sampling,
  ): Promise<{
    readonly texts: readonly string[];
    readonly finishes: readonly ('stop' | 'length')[];
    readonly tokens: number;
  }> {
    if (api.engine === null) throw new Error('no engine is loaded');
    const texts: string[] = [];
    const finishes: ('stop' | 'length')[] = [];
    let tokens = 0;
    for (const prompt of prompts) {
      let text = '';
      for await (const event of api.engine.generate({ prompt, sampling, stop: [] }, new AbortController().signal)) {
        if (event.type === 'delta') text += event.text;
        else if (event.type === 'end') {
          tokens += event.completionTokens;
          finishes.push(event.finish);
        }
      }
      texts.push(text);
    }
    return { texts, finishes, tokens };
  },

  /**
   * The same answers by the bare engine and by an audit each (verification, digests, writing again, comparison), on the engine that is loaded. In
   * turns, so that both meet the same load of the machine, and half a round apart, so that neither finds its prompt in the engine's cache.
   */
  async timeAudits(
    saved: readonly { readonly receipt: unknown; readonly transcript: unknown }[],
    chat: ChatForm,
    routerKey: string,
    auditsFirst: boolean,
  ): Promise<{
    readonly generateMs: number;
    readonly verifyMs: number;
    readonly auditMs: number;
    readonly agreed: number;
  }> {
    const { engine } = api;
    if (engine === null) throw new Error('no engine is loaded');
    const work = { engine, renderer: promptRenderer(chat) };
    const { signal } = new AbortController();
    const open = async ({ receipt: statement, transcript: given }: (typeof saved)[number]): Promise<SignedExchange> => {
      const transcript = parseTranscript(given);
      const { receipt } = await verifyReceipt(statement, { routerKey });
      if (receipt === null) throw new Error('the receipt does not hold');
      const match = await matchTranscript(receipt, transcript);
      if (match.match !== 'same') throw new Error(`the transcript is not the signed one: ${match.match}`);
      return { receipt, transcript, commit: match.commit };
    };
    const opened = await Promise.all(saved.map(open));
    const figures = { generateMs: 0, verifyMs: 0, auditMs: 0, agreed: 0 };
    const generate = async ({ receipt, transcript }: SignedExchange) => {
      const from = performance.now();
      const prompt = work.renderer.render(transcript.request.messages);
      const { stop } = transcript.request;
      for await (const _ of engine.generate({ prompt, sampling: receipt.sampling, stop }, signal));
      figures.generateMs += performance.now() - from;
    };
    const audit = async (one: (typeof saved)[number]) => {
      const from = performance.now();
      const exchange = await open(one);
      figures.verifyMs += performance.now() - from;
      const nothing = { accepted: () => undefined, wrote: () => undefined };
      if ((await compareWithModel(exchange, work, nothing, signal)).result === 'agrees') figures.agreed++;
      figures.auditMs += performance.now() - from;
    };
    const away = Math.floor(saved.length / 2);
    for (const [index, exchange] of opened.entries()) {
      const other = saved[(index + away) % saved.length];
      if (auditsFirst && other !== undefined) await audit(other);
      await generate(exchange);
      if (!auditsFirst && other !== undefined) await audit(other);
    }
    return figures;
  },

  /** Answers each of these requests with the loaded engine, one after the other: the text, then how it ended; null where the engine fails. */
  async writeAll(requests: readonly GenerateRequest[]): Promise<readonly (string | null)[]> {
    const { engine } = api;
    if (engine === null) throw new Error('no engine is loaded');
    const answers: (string | null)[] = [];
    for (const request of requests) {
      const answer = await writtenBy(engine, request, new AbortController().signal).catch(() => null);
      answers.push(answer && `${textOf(answer)}\n${answer.finish} ${answer.completionTokens}`);
    }
    return answers;
  },

  /** The same by an engine of its own that answers several at once: the text only. */
  async writeAllInSlots(
    variant: VariantEntry,
    options: { readonly contextTokens: number; readonly threads: number } & SlotOptions,
    requests: readonly GenerateRequest[],
  ): Promise<readonly (string | null)[]> {
    await api.engine?.dispose();
    const weights = await fetchWeights(location.origin, variant, () => undefined, new AbortController().signal);
    const batchTokens = batchTokensFor(variant.weights.bytes);
    return writeInSlots(wasm, weights, { ...options, batchTokens, embeddings: false }, requests);
  },

  /** Honest and hostile tabs, many to a page. */
  tabs: new HostedTabs(wasm),

  phase: null as LendingPhase | null,

  /** A tab around a real engine that alters one token of what it writes. Resolves when it serves. */
  async lendWithOneTokenAltered(token: number): Promise<void> {
    const identity = identityFrom(await createStoredIdentity());
    const served = Promise.withResolvers<void>();
    const alter = oneTokenAltered(token);
    let isServing = false; // It passes its own test first: a device that is merely broken would not come so far.
    const engine = new AlteringEngine(new WllamaEngine(wasm), (event, at) => (isServing ? alter(event, at) : event));
    const lending = new Lending({
      origin: location.origin,
      model: 'shoal-pup-3m:q8_0',
      direct: false,
      identity,
      engineFor: () => engine,
      links: () => NO_LINKS,
      onPhase: (phase) => {
        api.phase = phase;
        if (phase.phase === 'serving' && phase.tab.tab !== null) {
          isServing = true;
          served.resolve();
        }
        if (phase.phase === 'failed') served.reject(new Error(phase.reason));
      },
    });
    await lending.run();
    await served.promise;
  },

  /** A tab that lends web-llm, with all the time that an imitated GPU takes. Resolves when it serves. */
  async lendWebLlm(model: string, stepDeadlineMs: number): Promise<void> {
    const { WebLlmEngine } = await import('../engine/web-llm-engine.ts');
    const identity = identityFrom(await createStoredIdentity());
    const served = Promise.withResolvers<void>();
    const lending = new Lending({
      origin: location.origin,
      model,
      direct: false,
      identity,
      engineFor: ({ variant }) => {
        const engine = new WebLlmEngine(variant.weights.files, stepDeadlineMs);
        // A prompt that is read token by token shows its end sooner: several at once take minutes.
        const load = engine.load.bind(engine);
        engine.load = (weights, options, signal) => load(weights, { ...options, batchTokens: 1 }, signal);
        return engine;
      },
      links: () => NO_LINKS,
      onPhase: (phase) => {
        api.phase = phase;
        if (phase.phase === 'serving' && phase.tab.tab !== null) served.resolve();
        if (phase.phase === 'failed') served.reject(new Error(phase.reason));
      },
    });
    await lending.run();
    await served.promise;
  },
};

export type ExamApi = typeof api;

declare global {
  interface Window {
    exam: ExamApi;
  }
}

window.exam = api;
