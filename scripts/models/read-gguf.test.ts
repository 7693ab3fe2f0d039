import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CommandError } from '../command-line.ts';
import { ROOT } from '../paths.ts';
import { seededRandom } from '../sim/seeded-random.ts';
import { TINY_CHAT, TINY_EMBED, TINY_TENSORS, type TinyMetadata, tinyGguf } from '../testing/tiny-gguf.ts';
import { joinGguf } from './join-gguf.ts';
import { readGguf } from './read-gguf.ts';

const PUP = join(ROOT, 'models', 'embedded', 'chat', 'shoal-pup-3M-instruct-q4_0.gguf');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-gguf-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function read(content: Buffer, name = 'tiny.gguf') {
  const file = join(folder, name);
  await writeFile(file, content);
  return readGguf(file);
}
const reason = (metadata: TinyMetadata) =>
  read(tinyGguf(metadata, TINY_TENSORS)).then(
    () => null,
    (cause: unknown) => (cause instanceof CommandError ? cause.message : cause),
  );
const without = (metadata: TinyMetadata, ...keys: string[]) =>
  Object.fromEntries(Object.entries(metadata).filter(([key]) => !keys.includes(key)));

describe('a GGUF', () => {
  it('of a chat model is read with its shape', async () => {
    const facts = await read(tinyGguf(TINY_CHAT, TINY_TENSORS), 'Tiny-Chat.F32.gguf');
    expect(facts).toEqual({
      format: 'gguf',
      defaultId: 'tiny-chat',
      name: 'Tiny',
      description: 'llama model, read from Tiny-Chat.F32.gguf.',
      quantization: 'f32',
      architecture: 'llama',
      parameters: 512,
      contextTokens: 1024,
      longestTokenBytes: 5,
      licence: {
        id: 'unknown',
        notice: 'The files do not say their licence.',
        url: null,
        mustShow: false,
      },
      chat: {
        template: TINY_CHAT['tokenizer.chat_template'],
        bosToken: '<s>',
        eosToken: '</s>',
        addBos: false,
        controlTokens: ['<s>', '</s>'],
      },
      embed: null,
      shape: { layers: 2, heads: 4, kvHeads: 2, headSize: 16, vocabulary: 4 },
      needs: [],
    });
  });

  it('of an embedding model is read for what it is', async () => {
    const facts = await read(tinyGguf(TINY_EMBED, TINY_TENSORS));
    expect(facts).toMatchObject({ chat: null, embed: { dimensions: 48, pooling: 'mean' }, contextTokens: 512 });
  });

  it('of one of Meta’s models has its terms shown', async () => {
    const facts = await read(tinyGguf({ ...TINY_CHAT, 'general.license': 'llama3.2' }, TINY_TENSORS));
    expect(facts.licence).toEqual({
      id: 'llama3.2',
      notice: expect.stringMatching(
        /^Built with Llama\. Llama 3\.2 is licensed under the Llama 3\.2 Community License/,
      ),
      url: 'https://www.llama.com/llama3_2/license/',
      mustShow: true,
    });
  });

  it('[D5] that no tab can run is refused by name, with the reason', async () => {
    expect(await reason({ ...TINY_EMBED, 'bert.pooling_type': 4 })).toMatch(/^tiny\.gguf is a reranker/);
    expect(await reason({ ...TINY_CHAT, 'general.architecture': 'clip' })).toMatch(/^tiny\.gguf .*reads pictures/);
    expect(await reason(without(TINY_CHAT, 'tokenizer.chat_template'))).toMatch(/^tiny\.gguf has no chat template/);
    expect(await reason(without(TINY_CHAT, 'tokenizer.ggml.tokens'))).toBe('tiny.gguf has no vocabulary.');
    expect(await reason({ ...TINY_CHAT, 'llama.context_length': 0 })).toMatch(/^tiny\.gguf has a context length/);
    expect(await reason({ ...TINY_CHAT, 'llama.block_count': 'many' })).toMatch(/^tiny\.gguf has a block_count/);
  });
});

describe('a malformed GGUF', () => {
  it('of 1,000 spoilt headers is taken or refused with a reason, and nothing else happens', async () => {
    const whole = await readFile(PUP);
    const random = seededRandom(20_261_122);
    const upTo = (n: number) => Math.floor(random() * n);
    const counts = { taken: 0, refused: 0 };
    for (let round = 0; round < 1000; round++) {
      const isTiny = round % 10 !== 0;
      const source = isTiny ? tinyGguf(round % 2 === 0 ? TINY_CHAT : TINY_EMBED, TINY_TENSORS) : whole;
      const header = isTiny ? source.length : 60_000;
      const spoilt = Buffer.from(source);
      for (let change = upTo(4); change >= 0; change--) {
        const at = random() < 0.5 ? upTo(Math.min(600, header)) : upTo(header);
        if (random() < 0.3)
          spoilt.writeUInt32LE(random() < 0.5 ? 0xffff_ffff : upTo(2 ** 32), Math.min(at, header - 4));
        else spoilt[at] = upTo(256);
      }
      const content = random() < 0.2 ? spoilt.subarray(0, upTo(header)) : spoilt;
      const failure = await read(content).then(
        () => null,
        (cause: unknown) => cause,
      );
      if (failure === null) counts.taken++;
      else {
        expect({ round, failure: (failure as Error).constructor }).toEqual({ round, failure: CommandError });
        counts.refused++;
      }
    }
    expect(counts.refused).toBeGreaterThan(300);
    expect(counts.taken).toBeGreaterThan(100);
  }, 240_000);

  it('as a part of a split model is joined or refused with a reason, 300 times', async () => {
    const random = seededRandom(7);
    const upTo = (n: number) => Math.floor(random() * n);
    const [good, bad, whole] = ['good.gguf', 'bad.gguf', 'whole.gguf'].map((name) => join(folder, name));
    await writeFile(good!, tinyGguf(TINY_CHAT, TINY_TENSORS));
    let refused = 0;
    for (let round = 0; round < 300; round++) {
      const content = tinyGguf({ ...TINY_EMBED, 'split.no': 1 }, TINY_TENSORS);
      if (random() < 0.5) content.writeUInt32LE(upTo(2 ** 32), upTo(content.length - 2100));
      else content[upTo(content.length - 2100)] = upTo(256);
      await writeFile(bad!, random() < 0.2 ? content.subarray(0, upTo(content.length)) : content);
      const failure = await joinGguf([good!, bad!], whole!).catch((cause: unknown) => cause);
      if (failure === undefined) continue;
      expect({ round, failure: (failure as Error).constructor }).toEqual({ round, failure: CommandError });
      refused++;
    }
    expect(refused).toBeGreaterThan(50);
  }, 60_000);

  it('that claims to be huge is refused before room is made for it', async () => {
    const before = process.memoryUsage().rss;
    const claims: [at: number, bytes: number][] = [
      [8, 8], // Tensors.
      [16, 8], // Keys of metadata.
      [24, 8], // Length of the first key.
    ];
    for (const [at, length] of claims) {
      for (const value of [0xff, 0x7f, 0x10]) {
        const content = tinyGguf(TINY_CHAT, TINY_TENSORS);
        content.fill(value, at, at + length - 1);
        await expect(read(content)).rejects.toThrow(CommandError);
      }
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
  });
});
