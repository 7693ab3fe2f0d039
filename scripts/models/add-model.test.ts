import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { variantsNamed } from '../../shared/classes/catalogue.ts';
import { MODEL_PIECE_BYTES } from '../../shared/limits.ts';
import { type FileServer, serveFiles } from '../testing/file-server.ts';
import { TINY_CHAT, TINY_EMBED, TINY_TENSORS, tinyGguf } from '../testing/tiny-gguf.ts';
import type { AddOptions } from './add-model.ts';

const PLAIN: AddOptions = {
  name: null,
  contextTokens: null,
  temperature: null,
  embedded: false,
  host: null,
  mirrors: [],
  library: null,
  acceptLicence: false,
};
const digest = (...content: Buffer[]) => createHash('sha256').update(Buffer.concat(content)).digest('hex');
/** Larger than a piece, so that a mirror must send parts of it. */
const BIG_TENSORS = [{ name: 'token_embd.weight', values: MODEL_PIECE_BYTES / 4 + 1000 }, ...TINY_TENSORS];

let folder: string;
let server: FileServer;
let said: string[];
/** Read anew in each test: where models lie is decided when the module is loaded. */
let adding: typeof import('./add-model.ts');
let lists: typeof import('./catalogue-files.ts');

beforeAll(async () => {
  server = await serveFiles();
});
afterAll(() => server.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-add-'));
  vi.stubEnv('SHOAL_LOCAL_MODELS', join(folder, 'local'));
  vi.stubEnv('SHOAL_DIST', join(folder, 'dist'));
  vi.resetModules();
  adding = await import('./add-model.ts');
  lists = await import('./catalogue-files.ts');
  said = [];
  server.files.clear();
  server.manners.clear();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const add = (source: string, options: Partial<AddOptions> = {}) =>
  adding.addModel(source, { ...PLAIN, ...options }, (line) => said.push(line));
const keep = async (name: string, content: Buffer | string) => {
  await writeFile(join(folder, name), content);
  return join(folder, name);
};
const reason = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (cause: unknown) => (cause instanceof Error && cause.name === 'CommandError' ? cause.message : cause),
  );

describe('adding a model', () => {
  it('of GGUF on this machine lets the router host it', async () => {
    const content = tinyGguf(TINY_CHAT, TINY_TENSORS);
    const entry = await add(await keep('Tiny Chat.F32.gguf', content));
    expect(entry.variants).toEqual([
      {
        id: 'f32',
        format: 'gguf',
        weights: {
          sha256: digest(content),
          bytes: content.length,
          pieces: [{ sha256: digest(content), bytes: content.length }],
          files: [{ name: 'Tiny-Chat.F32.gguf', bytes: content.length, mirrors: [] }],
          hosted: true,
          redirectOrigins: [],
        },
        memoryBytes: expect.any(Number),
        needs: [],
      },
    ]);
    expect((await lists.readLocal()).models).toEqual([entry]);
  });

  it('that embeds gives it that capability, and a class', async () => {
    const entry = await add(await keep('embed.gguf', tinyGguf(TINY_EMBED, TINY_TENSORS)));
    expect(entry).toMatchObject({
      id: 'embed',
      capabilities: ['embed'],
      embed: { dimensions: 48, pooling: 'mean' },
      chat: null,
      defaults: null,
      contextTokens: 512,
    });
    const { servedVariants } = await import('../../shared/classes/catalogue.ts');
    const served = await servedVariants(await lists.readLocal());
    expect(variantsNamed(served, 'embed')).toHaveLength(1);
  });

  it('in parts joins them to the file that they were, and misses none', async () => {
    const parts = [
      tinyGguf({ ...TINY_CHAT, 'split.no': 0, 'split.count': 2 }, TINY_TENSORS.slice(0, 1), 1),
      tinyGguf({ 'split.no': 1, 'split.count': 2 }, TINY_TENSORS.slice(1), 2),
    ];
    const first = await keep('tiny-f32-00001-of-00002.gguf', parts[0]!);
    expect(await reason(add(first))).toMatch(/^tiny-f32-00002-of-00002\.gguf is missing/);
    const second = await keep('tiny-f32-00002-of-00002.gguf', parts[1]!);
    const { id, variants } = await add(first);
    const { weights } = variants[0]!;
    expect({ id, files: weights.files.map(({ name }) => name) }).toEqual({ id: 'tiny', files: ['tiny-f32.gguf'] });
    const whole = tinyGguf(TINY_CHAT, TINY_TENSORS, 1);
    whole.fill(2, whole.length - TINY_TENSORS[1]!.values * 4);
    expect(weights.sha256).toBe(digest(whole));

    await writeFile(second, parts[1]!.subarray(0, 60));
    expect(await reason(add(first))).toMatch(/^tiny-f32-00002-of-00002\.gguf is not a readable GGUF file/);
    await writeFile(second, 'no GGUF at all, whatever its name says');
    expect(await reason(add(first))).toMatch(/^tiny-f32-00002-of-00002\.gguf is no GGUF of version 3/);
  });

  it('under a name that has another chat template is refused before anything is kept', async () => {
    await add(await keep('one.f32.gguf', tinyGguf(TINY_CHAT, TINY_TENSORS)), { name: 'same' });
    const other = { ...TINY_CHAT, 'tokenizer.chat_template': 'other' };
    const file = await keep('two.f32.gguf', tinyGguf(other, TINY_TENSORS));
    expect(await reason(add(file, { name: 'same' }))).toMatch(/has another chat template/);
    expect(await readdir(join(folder, 'local', 'weights'))).toHaveLength(1);
  });
});

describe('mirrors', () => {
  const content = tinyGguf(TINY_CHAT, BIG_TENSORS);

  it('take the place of the router where it does not host, and each is tried as a page would', async () => {
    server.files.set('tiny.f32.gguf', content);
    for (const manner of ['no_ranges', 'no_cors', 'another_file', 'sends_on'] as const) {
      server.manners.set(manner, manner);
    }
    const at = (mirror: string) => `${server.url}/${mirror}/tiny.f32.gguf`;
    const { variants } = await add(at('plain'), {
      host: false,
      mirrors: ['no_ranges', 'no_cors', 'another_file', 'sends_on', 'gone'].map((mirror) =>
        mirror === 'gone' ? `${server.url}/plain/gone.gguf` : at(mirror),
      ),
    });
    expect(variants[0]?.weights).toMatchObject({
      hosted: false,
      pieces: [{ bytes: MODEL_PIECE_BYTES }, { bytes: content.length - MODEL_PIECE_BYTES }],
      files: [{ name: 'tiny.f32.gguf', mirrors: [at('plain'), at('sends_on')] }],
      redirectOrigins: [server.url.replace('127.0.0.1', 'localhost')],
    });
    const refused = said.filter((line) => line.startsWith('Not used as a mirror'));
    expect(refused.map((line) => line.slice(line.indexOf(': ', 'Not used as a mirror: http'.length) + 2))).toEqual([
      `${server.url} cannot send a part of the file.`,
      `${server.url} does not let other sites’ pages read it.`,
      `${server.url} has another file: ${content.length * 2} bytes, not ${content.length}.`,
      `${server.url} answered 404.`,
    ]);
    expect(await readdir(join(folder, 'local'))).toEqual(['catalogue.json']);

    await lists.assembleModels();
    const headers = await readFile(join(folder, 'dist', '_headers'), 'utf8');
    expect(headers).toContain(`connect-src 'self' ${server.url} ${server.url.replace('127.0.0.1', 'localhost')} blob:`);
  });

  it('are not asked for what the router has', async () => {
    server.files.set('tiny.f32.gguf', content);
    const { variants } = await add(`${server.url}/plain/tiny.f32.gguf`);
    expect(variants[0]?.weights).toMatchObject({ hosted: true, files: [{ mirrors: [] }], redirectOrigins: [] });
  });

  it('of no use are no place to leave a model', async () => {
    server.files.set('tiny.f32.gguf', content);
    server.manners.set('m', 'no_cors');
    expect(await reason(add(`${server.url}/m/tiny.f32.gguf`, { host: false }))).toMatch(
      /^No mirror of tiny\.f32\.gguf can be used by pages\. Add it with --host/,
    );
    expect((await lists.readLocal()).models).toEqual([]);
  });
});

describe('an MLC model', () => {
  const CONFIG = {
    model_type: 'llama',
    quantization: 'q4f16_1',
    vocab_size: 4,
    context_window_size: 4096,
    model_config: { num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, hidden_size: 64 },
  };
  const SHARDS = [Buffer.alloc(300, 1), Buffer.alloc(200, 2)];
  const LIBRARY = Buffer.from('\0asm library');
  const content = (): Record<string, Buffer> => ({
    'mlc-chat-config.json': Buffer.from(JSON.stringify(CONFIG)),
    'ndarray-cache.json': Buffer.from(
      JSON.stringify({
        metadata: { ParamBytes: 500, BitsPerParam: 5 },
        records: SHARDS.map((shard, i) => ({ dataPath: `params_shard_${i}.bin`, nbytes: shard.length })),
      }),
    ),
    'tokenizer.json': Buffer.from(
      JSON.stringify({
        added_tokens: [
          { content: '<|end|>', special: true },
          { content: '   ', special: false },
        ],
        model: { type: 'BPE', vocab: { hello: 0, Ġworld: 1 } },
      }),
    ),
    'tokenizer_config.json': Buffer.from(
      JSON.stringify({
        chat_template: '{{ messages[0].content }}',
        bos_token: null,
        eos_token: { content: '<|end|>' },
      }),
    ),
    'params_shard_0.bin': SHARDS[0]!,
    'params_shard_1.bin': SHARDS[1]!,
  });
  const NAMES = [
    'mlc-chat-config.json',
    'ndarray-cache.json',
    'tokenizer.json',
    'tokenizer_config.json',
    'params_shard_0.bin',
    'params_shard_1.bin',
    'model-lib.wasm',
  ];
  async function asFolder(files: Record<string, Buffer>): Promise<string> {
    const into = join(folder, 'Tiny-1B-Instruct-q4f16_1-MLC');
    await mkdir(into, { recursive: true });
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(into, name), bytes);
    return into;
  }

  it('is read from its folder, file by file, with prompts as its tokenizer says', async () => {
    const files = content();
    const entry = await add(await asFolder({ ...files, 'Tiny-ctx4k-webgpu.wasm': LIBRARY }));
    const all = [...NAMES.slice(0, -1).map((name) => files[name]!), LIBRARY];
    expect(entry).toMatchObject({
      id: 'tiny-1b-instruct-mlc',
      capabilities: ['chat'],
      parameters: 800,
      contextTokens: 2048,
      longestTokenBytes: 7,
      chat: {
        template: '{{ messages[0].content }}',
        bosToken: '',
        eosToken: '<|end|>',
        addBos: false,
        controlTokens: ['<|end|>'],
      },
      variants: [
        {
          id: 'q4f16_1',
          format: 'mlc',
          needs: ['webgpu', 'shader-f16'],
          weights: { sha256: digest(...all), hosted: true },
        },
      ],
    });
    const { weights } = entry.variants[0]!;
    expect(weights.files).toEqual(NAMES.map((name, i) => ({ name, bytes: all[i]!.length, mirrors: [] })));
    expect(weights.pieces).toEqual(all.map((file) => ({ sha256: digest(file), bytes: file.length })));
    const { servedVariants } = await import('../../shared/classes/catalogue.ts');
    expect((await servedVariants(await lists.readLocal())).length).toBe(0);
  });

  it('is left at its mirrors when it is added by its address', async () => {
    for (const [name, bytes] of Object.entries(content())) {
      server.files.set(`mlc-ai/Tiny-1B-Instruct-q4f16_1-MLC/resolve/main/${name}`, bytes);
    }
    server.files.set('libs/Tiny.wasm', LIBRARY);
    const base = `${server.url}/hub/mlc-ai/Tiny-1B-Instruct-q4f16_1-MLC/resolve/main/`;
    const library = `${server.url}/code/libs/Tiny.wasm`;
    const { id, variants } = await add(base, { host: false, library });
    expect({ id, hosted: variants[0]?.weights.hosted }).toEqual({ id: 'tiny-1b-instruct-mlc', hosted: false });
    expect(variants[0]?.weights.files.map(({ mirrors }) => mirrors)).toEqual(
      NAMES.map((name) => [name === 'model-lib.wasm' ? library : `${base}${name}`]),
    );
  });

  it('that is not whole, or not one, is refused with the file that is at fault', async () => {
    const cut = { ...content(), 'params_shard_1.bin': Buffer.alloc(100) };
    expect(await reason(add(await asFolder(cut)))).toMatch(/is cut: params_shard_1\.bin has 100 of 200 bytes/);
    expect(await reason(add(await asFolder(content())))).toMatch(/has no model library \(\.wasm\)/);
    const spoilt = { ...content(), 'tokenizer.json': Buffer.from('{"model"') };
    expect(await reason(add(await asFolder(spoilt)))).toMatch(/^tokenizer\.json of .* is no JSON/);
    const config = { ...content(), 'mlc-chat-config.json': Buffer.from('{"model_type": "llama"}') };
    expect(await reason(add(await asFolder(config)))).toMatch(/is not as an MLC model has it, at quantization/);
    const escaping = {
      ...content(),
      'ndarray-cache.json': Buffer.from('{"records": [{"dataPath": "../../etc/passwd", "nbytes": 1}]}'),
    };
    expect(await reason(add(await asFolder(escaping)))).toMatch(/at records\.0\.dataPath/);
    expect((await lists.readLocal()).models).toEqual([]);
  });
});

describe('known models', () => {
  it('are fetched from the first mirror that has them, and left there', async () => {
    const content = tinyGguf(TINY_CHAT, TINY_TENSORS);
    const real = globalThis.fetch;
    const asked: string[] = [];
    server.files.set('SmolLM2-135M-Instruct-Q8_0.gguf', content);
    vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
      asked.push(new URL(url).host);
      const { host, pathname } = new URL(url);
      if (host === 'huggingface.co') return Promise.reject(new TypeError('not reachable'));
      return real(`${server.url}/hub/${pathname.split('/').at(-1)}`, init);
    });
    const { id, name, variants } = await add('smollm2-135m-instruct:q8_0').finally(() => vi.unstubAllGlobals());
    const mirror =
      'https://hf-mirror.com/bartowski/SmolLM2-135M-Instruct-GGUF/resolve/main/SmolLM2-135M-Instruct-Q8_0.gguf';
    expect({ id, name, variant: variants[0]?.id, weights: variants[0]?.weights }).toMatchObject({
      id: 'smollm2-135m-instruct',
      name: 'SmolLM2 135M Instruct',
      variant: 'q8_0',
      weights: {
        sha256: digest(content),
        hosted: false,
        files: [{ name: 'SmolLM2-135M-Instruct-Q8_0.gguf', mirrors: [mirror] }],
        redirectOrigins: [],
      },
    });
    expect(asked).toEqual(['huggingface.co', 'hf-mirror.com', 'huggingface.co', 'hf-mirror.com']);
    expect(said).toContainEqual(expect.stringContaining('Not used as a mirror: https://huggingface.co/'));
  });

  it('are recipes that the catalogue could take, each for one engine', async () => {
    const { readKnown } = await import('./known-models.ts');
    const known = await readKnown();
    expect(new Set(known.map(({ id }) => id)).size).toBe(known.length);
    for (const { id, licence, variants } of known) {
      expect(new Set(variants.map((variant) => variant.id)).size).toBe(variants.length);
      expect({ id, formats: new Set(variants.map(({ format }) => format)).size }).toEqual({ id, formats: 1 });
      // Llama's terms want to be seen, and say so.
      expect({ id, mustShow: licence.mustShow }).toEqual({ id, mustShow: id.startsWith('llama') });
      expect(licence.notice.startsWith('Built with Llama.')).toBe(licence.mustShow);
      expect(licence.url).toMatch(/^https:/);
    }
  });

  it('[D4] [D5] under terms are shown first, and others that no tab can run are refused by name', async () => {
    expect(await reason(add('llama-3.2-1b-instruct'))).toMatch(
      /^Built with Llama\..*\n\nThe licence: https:\/\/www\.llama\.com\/llama3_2\/license\/\n.*--accept-licence\.$/s,
    );
    expect(await reason(add('bge-reranker-v2-m3'))).toMatch(
      /^bge-reranker-v2-m3:q8_0 cannot be served: No tab .* reranks/,
    );
    expect(await reason(add('phi-3.5-vision-instruct-mlc'))).toMatch(/No tab of this release reads pictures/);
    expect(await reason(add('llama-3.1-8b-instruct:q8_0'))).toMatch(/Larger than the 4 GiB/);
    expect(await reason(add('smollm2-135m-instruct:q9'))).toMatch(/not known with the variant q9\. Known: .*:q4_k_m/);
    expect(await reason(add('nobody-knows-this'))).toMatch(/no known model of that name: npm run models -- known$/);
  });
});
