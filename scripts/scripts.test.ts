import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BrowserMissing, findBrowser } from './browser/find-browser.ts';
import { CommandError } from './command-line.ts';
import { readEmbedded } from './models/catalogue-files.ts';
import { readGguf } from './models/read-gguf.ts';
import { ROOT } from './paths.ts';
import { freePort } from './router/free-port.ts';
import { admitMirrors, securityHeaders } from './security-headers.ts';

const run = promisify(execFile);
const PUP = join(ROOT, 'models', 'embedded', 'chat', 'shoal-pup-3M-instruct-q4_0.gguf');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-scripts-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('reading a GGUF', () => {
  it('takes everything from the file’s own metadata', async () => {
    expect(await readGguf(PUP)).toMatchObject({
      defaultId: 'shoal-pup-3m-instruct',
      name: 'Shoal Pup',
      quantization: 'q4_0',
      architecture: 'llama',
      parameters: 2951616,
      contextTokens: 512,
      licence: { id: 'apache-2.0' },
      chat: { bosToken: '<|begin_of_text|>', eosToken: '<|eot_id|>', addBos: true },
    });
  });

  it('refuses what is no chat model, with a sentence', async () => {
    const noise = join(folder, 'noise.gguf');
    await writeFile(noise, 'this is no model');
    const cut = join(folder, 'cut.gguf');
    await writeFile(cut, (await readFile(PUP)).subarray(0, 1000));
    for (const file of [noise, cut]) await expect(readGguf(file)).rejects.toThrow(CommandError);
  });
});

describe('npm run models', () => {
  const models = (...args: string[]) =>
    run(process.execPath, [join(ROOT, 'scripts', 'models.ts'), ...args], {
      env: { ...process.env, SHOAL_LOCAL_MODELS: join(folder, 'local'), SHOAL_DIST: join(folder, 'dist') },
    }).then(
      ({ stdout }) => ({ status: 0, out: stdout }),
      (cause: { code: number; stdout: string; stderr: string }) => ({
        status: cause.code,
        out: cause.stdout + cause.stderr,
      }),
    );

  it('adds a file in pieces, lists it, and removes it', async () => {
    const file = join(folder, 'My Model.Q4_0.gguf');
    await cp(PUP, file);
    const added = await models('add', file);
    expect(added).toMatchObject({ status: 0, out: expect.stringContaining('my-model') });
    const { models: entries } = JSON.parse(await readFile(join(folder, 'local', 'catalogue.json'), 'utf8')) as {
      models: { id: string; variants: { weights: { sha256: string; pieces: unknown[] } }[] }[];
    };
    expect(entries).toMatchObject([
      { id: 'my-model', contextTokens: 512, variants: [{ id: 'q4_0', weights: { bytes: 1767168 } }] },
    ]);
    const weights = entries[0]!.variants[0]!.weights;
    const piece = await readFile(join(folder, 'local', 'weights', weights.sha256, '0000.bin'));
    expect(piece.equals(await readFile(PUP))).toBe(true);
    expect((await models('list')).out).toContain('my-model:q4_0');
    expect((await models('remove', 'my-model')).status).toBe(0);
    expect((await models('list')).out).not.toContain('my-model');
  });

  it('keeps the file that another name still uses', async () => {
    await models('add', PUP, '--name', 'one');
    await models('add', PUP, '--name', 'two');
    expect((await models('remove', 'one')).status).toBe(0);
    const weights = await readdir(join(folder, 'local', 'weights'));
    expect(weights).toHaveLength(1);
    expect((await models('remove', 'two')).status).toBe(0);
    expect(await readdir(join(folder, 'local', 'weights'))).toEqual([]);
  });

  it('refuses a catalogue of an earlier release, with the next step', async () => {
    const old = join(folder, 'old');
    await mkdir(old);
    await writeFile(join(old, 'catalogue.json'), '{"v": 1, "models": []}');
    const listed = run(process.execPath, [join(ROOT, 'scripts', 'models.ts'), 'list'], {
      env: { ...process.env, SHOAL_LOCAL_MODELS: old },
    });
    await expect(listed).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('add its models again: npm run models -- add'),
    });
  });

  it('says what is wrong, and leaves nothing half done', async () => {
    const half = await readFile(PUP);
    await writeFile(join(folder, 'half.gguf'), half.subarray(0, half.byteLength - 200_000));
    const wrong = [
      ['add', join(folder, 'absent.gguf')],
      ['add', join(folder, 'noise.gguf')],
      ['remove', 'nobody'],
      ['add', PUP, '--context', 'many'],
      ['add', PUP, '--context', '1.5'],
      ['add', PUP, '--temperature', '9'],
      ['add', PUP, '--name', 'Bad Name!'],
      ['add', PUP, '--name', ''],
      ['add', PUP, '--name', '../../../evil'],
      ['add', PUP, '--name', 'shoal-pup-3m'],
      ['add', folder],
      ['add', join(folder, 'half.gguf')],
      ['add', 'http://localhost:9/x.gguf'],
    ];
    const answers = await Promise.all(wrong.map((args) => models(...args)));
    for (const [i, { status, out }] of answers.entries()) {
      expect({ args: wrong[i], status }).toEqual({ args: wrong[i], status: 1 });
      expect(out).not.toContain('    at ');
    }
    for (const args of [['dance'], ['add'], ['add', PUP, 'more'], ['add', PUP, '--nonsense']]) {
      expect((await models(...args)).status).toBe(2);
    }
    expect(await models('--help')).toMatchObject({ status: 0, out: expect.stringContaining('remove NAME') });
    expect((await models('list')).out).not.toContain('local');
  }, 60_000); // Many processes at once.
});

describe('finding a port and a browser', () => {
  it('moves on from a taken port', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const taken = typeof address === 'object' && address !== null ? address.port : 0;
    const next = await freePort(taken);
    expect(next).toBeGreaterThan(taken);
    server.close();
  });

  it('takes SHOAL_BROWSER at its word, or says that it cannot', async () => {
    const before = process.env.SHOAL_BROWSER;
    try {
      const program = join(folder, 'browser');
      await writeFile(program, '#!/bin/sh\n');
      await chmod(program, 0o755);
      process.env.SHOAL_BROWSER = program;
      expect(await findBrowser(() => undefined)).toMatchObject({ executable: program, origin: 'environment' });
      process.env.SHOAL_BROWSER = join(folder, 'absent');
      await expect(findBrowser(() => undefined)).rejects.toThrow(BrowserMissing);
    } finally {
      if (before === undefined) delete process.env.SHOAL_BROWSER;
      else process.env.SHOAL_BROWSER = before;
    }
  });
});

describe('the security headers of the pages', () => {
  it('allow nothing from elsewhere, and no inline code', async () => {
    const headers = securityHeaders(await readFile(join(ROOT, 'web-miner', 'public', '_headers'), 'utf8'));
    const policy = headers['Content-Security-Policy'] ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe-inline|unsafe-eval'(?<!wasm-unsafe-eval')|https?:|\*/);
    expect(headers).toMatchObject({
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
      'X-Content-Type-Options': 'nosniff',
    });
  });

  it('[D2] let the pages connect to the mirrors of this catalogue, and to nowhere else', async () => {
    const file = await readFile(join(ROOT, 'web-miner', 'public', '_headers'), 'utf8');
    const { models } = await readEmbedded();
    expect(admitMirrors(file, { v: 2, models })).toBe(file);
    const [model] = models;
    const [variant] = model!.variants;
    const mirrors = [
      'https://huggingface.co/a/b.gguf',
      'https://huggingface.co/c.gguf',
      'https://mirror.example:8443/b',
    ];
    const weights = {
      ...variant!.weights,
      hosted: false,
      files: [{ ...variant!.weights.files[0]!, mirrors }],
      redirectOrigins: ['https://cdn.example'],
    };
    const admitted = admitMirrors(file, { v: 2, models: [{ ...model!, variants: [{ ...variant!, weights }] }] });
    const policy = securityHeaders(admitted)['Content-Security-Policy'] ?? '';
    expect(policy).toContain(
      "; connect-src 'self' https://huggingface.co https://mirror.example:8443 https://cdn.example blob:; ",
    );
    expect(policy.replace(/ https:[^ ;]+/g, '')).toBe(securityHeaders(file)['Content-Security-Policy']);
  });
});
