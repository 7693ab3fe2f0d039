import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import embedded from '../../models/embedded/catalogue.json' with { type: 'json' };
import { AlteringEngine, oneTokenAltered } from '../../router-worker/testing/altering-engine.ts';
import { TEST_SAMPLING, TestNetwork } from '../../router-worker/testing/network.ts';
import { toHex } from '../../shared/bytes.ts';
import {
  CATALOGUE_PATH,
  type Catalogue,
  chatFormOf,
  type ServedVariant,
  servedVariants,
} from '../../shared/classes/catalogue.ts';
import { receiptId } from '../../shared/protocol/task-ids.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import { type Engine, EngineError } from '../engine/engine.ts';
import { promptRenderer } from '../engine/render-prompt.ts';
import { ScriptedEngine } from '../engine/scripted-engine.ts';
import { type AuditPhase, runAudit } from './start-audit.ts';

const WEIGHTS = 'GGUF';
const WASM = new URL('../../node_modules/@wllama/wllama/esm/wasm/wllama.wasm', import.meta.url);
const PROMPT = 'Tell me of the shoal.';
const { temperature, seed, maxTokens } = TEST_SAMPLING;

async function tinyCatalogue(): Promise<Catalogue> {
  const bytes = new TextEncoder().encode(WEIGHTS);
  const sha256 = toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
  const piece = { sha256, bytes: bytes.byteLength };
  const [model] = (embedded as Catalogue).models;
  const [variant] = model!.variants;
  const files = [{ name: 'tiny.gguf', bytes: piece.bytes, mirrors: [] }];
  const weights = { ...variant!.weights, ...piece, pieces: [piece], files };
  return { v: 2, models: [{ ...model!, variants: [{ ...variant!, weights }] }] };
}

interface Saved {
  readonly receipt: Signed;
  readonly request: Record<string, unknown>;
  readonly answer: string;
  readonly finish: string;
  readonly salt: string;
}

let network: TestNetwork;
let served: ServedVariant;
let wasm: BlobPart;

/** An answer of the test network, as a client would have saved it. */
async function anAnswer(engine: Engine = new ScriptedEngine(), part: object = {}): Promise<Saved> {
  const { tab } = await network.addTab({
    engine,
    class: served.class,
    renderer: promptRenderer(chatFormOf(served.model)),
  });
  const variants = [{ model: 'shoal-pup-3m', variant: 'q8_0', class: served.class }];
  const { task, want, text, updates } = await network.ask(PROMPT, { level: 'none', variants, ...part });
  await tab.close();
  const session = await network.session(want.task);
  const answered = updates.find((update) => update.type === 'answered');
  return {
    receipt: session.receipt(want.task),
    request: {
      model: 'shoal-pup-3m',
      messages: [{ role: 'user', content: PROMPT }],
      temperature,
      seed,
      max_tokens: maxTokens,
    },
    answer: text,
    finish: answered?.finish ?? 'stop',
    salt: task.salt,
  };
}

function transcriptOf(saved: Saved, part: { request?: object; answer?: string; salt?: string } = {}) {
  const { task } = JSON.parse(saved.receipt.payload) as { task: string };
  const message = { role: 'assistant', content: part.answer ?? saved.answer };
  return {
    request: { ...saved.request, ...part.request },
    response: {
      choices: [{ index: 0, message, finish_reason: saved.finish }],
      shoal: { receipt: receiptId(task), salt: part.salt ?? saved.salt },
    },
  };
}

function audit(receipt: unknown, transcript: unknown, onPhase: (phase: AuditPhase) => void = () => undefined) {
  const routerKey = network.keys.signer.publicKey;
  const engineAt = () => new ScriptedEngine();
  const { signal } = new AbortController();
  return runAudit({ origin: 'http://localhost', receipt, transcript, routerKey, engineAt, onPhase }, signal);
}

beforeEach(async () => {
  network = await TestNetwork.create();
  const catalogue = await tinyCatalogue();
  [served] = (await servedVariants(catalogue)) as [ServedVariant];
  wasm = await readFile(WASM);
  vi.stubGlobal('fetch', async (url: URL | string) => {
    const { pathname } = new URL(url);
    if (pathname === CATALOGUE_PATH) return Response.json(catalogue);
    return new Response(pathname.startsWith('/engines/') ? new Blob([wasm]) : WEIGHTS);
  });
});
afterEach(() => vi.unstubAllGlobals());

describe('[A1] an audit', () => {
  it('agrees with an honest answer to the bit, and tells what it is doing', async () => {
    const saved = await anAnswer();
    const phases: string[] = [];
    expect(await audit(saved.receipt, transcriptOf(saved), ({ phase }) => phases.push(phase))).toEqual({
      result: 'agrees',
      blocks: Math.floor(new TextEncoder().encode(saved.answer).byteLength / 64),
      bytes: new TextEncoder().encode(saved.answer).byteLength,
      tokens: expect.any(Number),
    });
    expect([...new Set(phases)]).toEqual(['verifying', 'downloading', 'loading', 'writing']);
  });

  it('names the first false block of an answer that the tab altered, and shows both passages', async () => {
    const honest = await anAnswer();
    const saved = await anAnswer(new AlteringEngine(new ScriptedEngine(), oneTokenAltered(30)));
    const at = [...honest.answer].findIndex((letter, i) => letter !== [...saved.answer][i]);
    const block = Math.floor(new TextEncoder().encode([...honest.answer].slice(0, at).join('')).byteLength / 64);
    const finding = await audit(saved.receipt, transcriptOf(saved));
    expect(finding).toMatchObject({ result: 'differs', block });
    if (finding.result !== 'differs') throw new Error('unreachable');
    expect(finding.signed.text).toContain('xx');
    expect(saved.answer).toContain(finding.signed.text);
    expect(honest.answer).toContain(finding.written.text);
  });

  it('finds an answer that was given another ending', async () => {
    const long = await anAnswer(
      new AlteringEngine(new ScriptedEngine(), (event) =>
        event.type === 'end' ? { ...event, finish: event.finish === 'stop' ? 'length' : 'stop' } : event,
      ),
    );
    const finding = await audit(long.receipt, transcriptOf(long));
    expect(finding).toMatchObject({ result: 'differs' });
    if (finding.result !== 'differs') throw new Error('unreachable');
    expect(finding.signed.text).toBe(finding.written.text);
    expect(finding.signed.finish).not.toBe(finding.written.finish);
  });

  it('tells a text that was not signed from an answer that is false', async () => {
    const saved = await anAnswer();
    const answer = saved.answer.replace(' fish', ' fowl');
    expect(answer).not.toBe(saved.answer);
    const block = Math.floor(
      new TextEncoder().encode(saved.answer.slice(0, saved.answer.indexOf(' fish') + 2)).length / 64,
    );
    expect(await audit(saved.receipt, transcriptOf(saved, { answer }))).toMatchObject({
      result: 'mismatch',
      mismatch: { match: 'other_text', block, passage: expect.stringContaining('fowl') },
    });
  });

  it('finds another prompt, other stop strings and another salt', async () => {
    const saved = await anAnswer();
    for (const part of [
      { request: { messages: [{ role: 'user', content: `${PROMPT} ` }] } },
      { request: { messages: [{ role: 'system', content: PROMPT }] } },
      { request: { stop: ['x'] } },
      { salt: 'B'.repeat(21).concat('A') },
    ]) {
      expect(await audit(saved.receipt, transcriptOf(saved, part))).toEqual({
        result: 'mismatch',
        mismatch: { match: 'other_prompt' },
      });
    }
  });

  it('finds that the router ran other values than were asked for', async () => {
    const saved = await anAnswer();
    for (const [part, field] of [
      [{ temperature: 0 }, 'temperature'],
      [{ seed: 8 }, 'seed'],
      [{ top_p: 0.5 }, 'topP'],
      [{ model: 'shoal-pup-3m:q4_0' }, 'model'],
    ] as const) {
      expect(await audit(saved.receipt, transcriptOf(saved, { request: part }))).toMatchObject({
        result: 'mismatch',
        mismatch: { match: 'other_terms', field },
      });
    }
  });

  it('does not mistake one task’s transcript for another’s', async () => {
    const [first, second] = [await anAnswer(), await anAnswer()];
    expect(await audit(first.receipt, transcriptOf(second))).toEqual({
      result: 'mismatch',
      mismatch: { match: 'other_task' },
    });
  });

  it('has nothing to compare where the task ended without a whole answer', async () => {
    const saved = await anAnswer();
    const broken = new AlteringEngine(new ScriptedEngine(), () => {
      throw new EngineError('crashed', 'The engine broke down.');
    });
    const { tab } = await network.addTab({ engine: broken, class: served.class });
    const variants = [{ model: 'shoal-pup-3m', variant: 'q8_0', class: served.class }];
    const { task, want } = await network.open(PROMPT, { level: 'none', variants });
    await expect(network.follow(task, want)).rejects.toMatchObject({ code: 'engine_failed' });
    await tab.close();
    const receipt = (await network.session(want.task)).receipt(want.task);
    expect(await audit(receipt, transcriptOf({ ...saved, receipt }))).toEqual({
      result: 'mismatch',
      mismatch: { match: 'no_answer', outcome: 'failed' },
    });
  });

  it('refuses a receipt that was changed, before anything is fetched', async () => {
    const saved = await anAnswer();
    vi.stubGlobal('fetch', () => Promise.reject(new Error('must not be called')));
    const changed = { ...saved.receipt, payload: saved.receipt.payload.replace('answered', 'answerec') };
    expect(await audit(changed, transcriptOf(saved))).toMatchObject({ result: 'refused' });
  });

  it('names the class that is not at hand, and what is', async () => {
    served = { ...served, class: `cls_${'B'.repeat(22)}` };
    const saved = await anAnswer();
    expect(await audit(saved.receipt, transcriptOf(saved))).toEqual({
      result: 'class_unknown',
      class: `cls_${'B'.repeat(22)}`,
      atHand: [
        expect.stringMatching(/^shoal-pup-3m:q8_0 with wllama .+ \(cls_.{22}\)$/),
        expect.stringMatching(/^shoal-pup-3m:q8_0 with wllama .+ \(cln_.{22}\)$/),
        expect.stringMatching(/^shoal-pup-3m:q8_0 with wllama .+ \(cln_.{22}\)$/),
      ],
    });
  });

  it('[A2] runs no engine whose digest is not the one that the class names', async () => {
    const saved = await anAnswer();
    wasm = 'another engine';
    await expect(audit(saved.receipt, transcriptOf(saved))).rejects.toThrow('The engine is not that of the class');
  });

  it('runs no weights whose pieces are in order and whose whole is another file', async () => {
    const saved = await anAnswer();
    const other = 'GGUF of another model';
    const sha256 = toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(other))));
    const { models } = await tinyCatalogue();
    const [model] = models;
    const [variant] = model!.variants;
    const files = [{ name: 'tiny.gguf', bytes: other.length, mirrors: [] }];
    const weights = { ...variant!.weights, bytes: other.length, pieces: [{ sha256, bytes: other.length }], files };
    const lying = { v: 2, models: [{ ...model, variants: [{ ...variant, weights }] }] };
    vi.stubGlobal('fetch', async (url: URL | string) =>
      new URL(url).pathname === CATALOGUE_PATH ? Response.json(lying) : new Response(other),
    );
    await expect(audit(saved.receipt, transcriptOf(saved))).rejects.toThrow('The weights are not those of the class');
  });

  it('reads no transcript that is none', async () => {
    const saved = await anAnswer();
    await expect(audit(saved.receipt, { request: {} })).rejects.toMatchObject({ code: 'missing_field' });
  });
});
