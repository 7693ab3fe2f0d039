import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import embedded from '../../models/embedded/catalogue.json' with { type: 'json' };
import {
  type Catalogue,
  catalogue,
  chatFormOf,
  everyClass,
  servedVariants,
  traitsOf,
  variantsNamed,
} from './catalogue.ts';
import { classIdOf, isExactClass } from './class-id.ts';
import { WEB_LLM_BUILD } from './web-llm-build.ts';
import { ENGINE_BUILDS, enginePath, WLLAMA_BUILD } from './wllama-build.ts';

const at = (path: string) => new URL(`../../${path}`, import.meta.url);
const digest = (path: string) =>
  createHash('sha256')
    .update(readFileSync(at(path)))
    .digest('hex');

describe('classes of equivalence', () => {
  it('name the engine build that is installed', () => {
    const { version } = JSON.parse(readFileSync(at('node_modules/@wllama/wllama/package.json'), 'utf8')) as {
      version: string;
    };
    expect(WLLAMA_BUILD).toEqual({
      engine: `wllama ${version}`,
      engineBuild: digest('node_modules/@wllama/wllama/esm/wasm/wllama.wasm'),
    });
  });

  it('can be run again with every engine build that is still served, each under its digest', async () => {
    expect(ENGINE_BUILDS[0]).toMatchObject(WLLAMA_BUILD);
    const carried = ENGINE_BUILDS.map(({ carriedBy }) => digest(`node_modules/${carriedBy}/esm/wasm/wllama.wasm`));
    expect(ENGINE_BUILDS.map(enginePath)).toEqual(carried.map((sha256) => `/engines/${sha256}.wasm`));
    const models = v.parse(catalogue, embedded);
    const older = { engine: 'wllama 3.0.0', engineBuild: 'a'.repeat(64) };
    const classes = [...(await servedVariants(models)), ...(await servedVariants(models, older))];
    expect(new Set(classes.map((served) => served.class)).size).toBe(classes.length);
  });

  it('name the engine for graphics processors that is installed', () => {
    const { version } = JSON.parse(readFileSync(at('node_modules/@mlc-ai/web-llm/package.json'), 'utf8')) as {
      version: string;
    };
    expect(WEB_LLM_BUILD).toEqual({
      engine: `web-llm ${version}`,
      engineBuild: digest('node_modules/@mlc-ai/web-llm/lib/index.js'),
    });
  });

  it('[H1] of a graphics processor are near ones, of a GGUF and of an MLC model', async () => {
    const { models } = v.parse(catalogue, embedded);
    const [model] = models;
    const [variant] = model!.variants;
    const mlc = { ...variant!, id: 'q4f32_1', format: 'mlc' as const };
    const both: Catalogue = { v: 2, models: [{ ...model!, variants: [variant!, mlc] }] };
    const classes = await everyClass(both);
    expect(
      classes.map(({ variant, arithmetic, class: id }) => [
        variant.format,
        arithmetic.backend,
        arithmetic.flashAttention,
        isExactClass(id),
      ]),
    ).toEqual([
      ['gguf', 'cpu', false, true],
      ['gguf', 'cpu', true, false],
      ['gguf', 'webgpu', false, false],
      ['mlc', 'webgpu', false, false],
    ]);
    expect(new Set(classes.map((served) => served.class)).size).toBe(4);
    const embedding = { ...model!, chat: null, defaults: null, capabilities: ['embed' as const], variants: [mlc] };
    expect(await everyClass({ v: 2, models: [embedding] })).toEqual([]);
  });

  it('change with every trait', async () => {
    const { models } = v.parse(catalogue, embedded);
    const model = models[0]!;
    const traits = await traitsOf(model, model.variants[0]!);
    const ids = new Set([await classIdOf(traits)]);
    const changes = [
      { weights: 'a'.repeat(64) },
      { engine: 'other' },
      { engineBuild: 'a'.repeat(64) },
      { flashAttention: true },
      { backend: 'webgpu' as const },
      { kvType: 'f32' as const },
      { contextTokens: 1024 },
      { template: 'a'.repeat(64) },
    ];
    for (const change of changes) ids.add(await classIdOf({ ...traits, ...change }));
    expect(ids.size).toBe(changes.length + 1);
  });

  it('keep their ids: a receipt of last year names a class of last year', async () => {
    const { models } = v.parse(catalogue, embedded);
    expect((await servedVariants({ v: 2, models })).map(({ variant, class: id }) => [variant.id, id])).toEqual([
      ['q8_0', 'cls_ZqVxnePHO5Lezt2LsfvVwA'],
      ['q4_0', 'cls_FX2CnIp02FFW5Hh1mTEPAQ'],
    ]);
  });
});

describe('the embedded catalogue', () => {
  it('describes the files that lie in the repository', () => {
    const { models } = v.parse(catalogue, embedded);
    for (const variant of models.flatMap((model) => model.variants)) {
      const file = `models/embedded/chat/shoal-pup-3M-instruct-${variant.id}.gguf`;
      expect(variant.weights.sha256).toBe(digest(file));
      expect(variant.weights.bytes).toBe(readFileSync(at(file)).byteLength);
      expect(variant.weights.pieces).toEqual([{ sha256: variant.weights.sha256, bytes: variant.weights.bytes }]);
    }
  });

  it('answers to a model’s name and to a variant’s', async () => {
    const served = await servedVariants(v.parse(catalogue, embedded));
    expect(variantsNamed(served, 'shoal-pup-3m')).toHaveLength(2);
    expect(variantsNamed(served, 'shoal-pup-3m:q4_0').map(({ variant }) => variant.id)).toEqual(['q4_0']);
    expect(variantsNamed(served, 'shoal-pup-3m:f16')).toEqual([]);
    expect(variantsNamed(served, 'Shoal-Pup-3M')).toEqual([]);
  });
});

describe('a catalogue', () => {
  const { models } = v.parse(catalogue, embedded);
  const model = models[0]!;
  const variant = model.variants[0]!;
  const isTaken = (changed: object) => v.is(catalogue, { v: 2, models: [{ ...model, ...changed }] });
  const withWeights = (changed: object) => ({
    variants: [{ ...variant, weights: { ...variant.weights, ...changed } }],
  });
  const { bytes } = variant.weights;
  const mirror = 'https://mirror.example/tiny.gguf';

  it('of an earlier release is not taken', () => {
    expect([isTaken({}), v.is(catalogue, { v: 1, models: [model] })]).toEqual([true, false]);
  });

  it('has pieces that end where its files do', () => {
    const half = { name: 'half', bytes: bytes / 2, mirrors: [] };
    const halves = [1, 2].map(() => ({ sha256: 'a'.repeat(64), bytes: bytes / 2 }));
    expect(isTaken(withWeights({ files: [half, half], pieces: halves }))).toBe(true);
    for (const wrong of [{ files: [half, half] }, { files: [half] }, { pieces: halves.slice(1) }]) {
      expect(isTaken(withWeights(wrong))).toBe(false);
    }
  });

  it('says who has the files, and lets no address into the policy of the pages that means something there', () => {
    const [file] = variant.weights.files;
    const at = (...mirrors: string[]) => withWeights({ hosted: false, files: [{ ...file, mirrors }] });
    expect([isTaken(at(mirror)), isTaken(at('http://localhost:8080/x.gguf'))]).toEqual([true, true]);
    const wrong = [
      'http://mirror.example/x',
      'https://a;b/x',
      'https://u@b/x',
      "https://'self'/x",
      '*',
      'https:x',
      'https://a:99999/x',
      '/x',
    ];
    expect(isTaken(at())).toBe(false);
    for (const address of wrong) expect({ address, taken: isTaken(at(address)) }).toEqual({ address, taken: false });
  });

  it('has a form for what a model can do', () => {
    const embeds = { capabilities: ['embed'], chat: null, defaults: null, embed: { dimensions: 384, pooling: 'mean' } };
    expect(isTaken(embeds)).toBe(true);
    for (const wrong of [{ chat: null }, { defaults: null }, { ...embeds, embed: null }, { capabilities: [] }]) {
      expect(isTaken(wrong)).toBe(false);
    }
  });

  it('has classes for what the GGUF engine can run, and no others', async () => {
    const embeds = { ...model, id: 'e', capabilities: ['embed' as const], chat: null, defaults: null };
    const others = [
      { ...model, id: 'mlc', variants: [{ ...variant, format: 'mlc' as const }] },
      { ...embeds, capabilities: ['rerank' as const] },
      { ...embeds, embed: { dimensions: 384, pooling: 'mean' as const } },
      { ...embeds, id: 'cls', embed: { dimensions: 384, pooling: 'cls' as const } },
    ];
    const served = await servedVariants({ v: 2, models: [model, ...others] });
    expect(served.map((entry) => entry.model.id)).toEqual([model.id, model.id, 'e', 'e', 'cls', 'cls']);
    expect(new Set(served.map((entry) => entry.class)).size).toBe(6);
  });

  it('does not ask an embedding model for a chat', () => {
    expect(chatFormOf(model)).toBe(model.chat);
    expect(() => chatFormOf({ ...model, chat: null })).toThrow(`The model '${model.id}' does not chat.`);
  });
});
