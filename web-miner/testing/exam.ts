import { AlteringEngine, oneTokenAltered } from '../../router-worker/testing/altering-engine.ts';
import type { VariantEntry } from '../../shared/classes/catalogue.ts';
import { NO_LINKS } from '../../shared/peer/direct-links.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';
import type { GenerateRequest } from '../engine/engine.ts';
import { ENGINE_EXAM } from '../engine/engine-exam.ts';
import { WllamaEngine } from '../engine/wllama-engine.ts';
import { wllamaWasmUrl } from '../engine/wllama-wasm.ts';
import { createStoredIdentity, identityFrom } from '../identity/tab-identity.ts';
import { fetchWeights } from '../models/model-store.ts';
import { batchTokensFor, Lending, type LendingPhase } from '../work/start-lending.ts';
import { HostedTabs } from './hostile/hosted-tabs.ts';
import { textOf, writtenBy } from './hostile/written-answer.ts';
import { type SlotOptions, writeInSlots } from './write-in-slots.ts';

/** A page for tests only: real wllama sits the exam, and a tab with a real engine tells one lie. Never part of the product's build. */

const wasm = new URL(wllamaWasmUrl, location.href).href;

const api = {
  titles: ENGINE_EXAM.map(({ title }) => title),

  /** Runs one case of the exam on real wllama with the weights at this address; `null` when it passes. */
  async runCase(index: number, weightsUrl: string): Promise<string | null> {
    const weights = await (await fetch(weightsUrl)).blob();
    const examCase = ENGINE_EXAM[index];
    if (examCase === undefined) return 'there is no such case';
    try {
      await examCase.run({
        open: () => new WllamaEngine(wasm),
        weights,
        brokenWeights: [new Blob(['not a model at all']), weights.slice(0, 200_000)],
        contextTokens: 512,
        prompt:
          '<|start_header_id|>user<|end_header_id|>\n\nTell me a long story about a robot and friendship.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n',
      });
      return null;
    } catch (cause) {
      return cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    }
  },

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

  /** Answers these prompts, one after the other, with nothing around the engine. */
  async generateAll(
    prompts: readonly string[],
    sampling: Sampling,
  ): Promise<{ readonly texts: readonly string[]; readonly tokens: number }> {
    if (api.engine === null) throw new Error('no engine is loaded');
    const texts: string[] = [];
    let tokens = 0;
    for (const prompt of prompts) {
      let text = '';
      for await (const event of api.engine.generate({ prompt, sampling, stop: [] }, new AbortController().signal)) {
        if (event.type === 'delta') text += event.text;
        else if (event.type === 'end') tokens += event.completionTokens;
      }
      texts.push(text);
    }
    return { texts, tokens };
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
    const lending = new Lending({
      origin: location.origin,
      model: 'shoal-pup-3m:q8_0',
      direct: false,
      identity,
      engine: new AlteringEngine(new WllamaEngine(wasm), oneTokenAltered(token)),
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
