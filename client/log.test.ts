import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ReceiptLog } from '../router-worker/log/receipt-log.ts';
import { MemoryLogStore } from '../router-worker/testing/memory-log-store.ts';
import { TestNetwork } from '../router-worker/testing/network.ts';
import { sha256, utf8 } from '../shared/bytes.ts';
import { ShoalError } from '../shared/errors.ts';
import { PROTOCOL_VERSION } from '../shared/protocol/version.ts';
import { entryOf } from '../shared/receipt-log/log-api.ts';
import type { Signed } from '../shared/signing/signed-statement.ts';
import { standingInLog } from './log-standing.ts';

const run = promisify(execFile);
const bin = new URL('./bin/shoal.mjs', import.meta.url).pathname;

let network: TestNetwork;
let receipt: Signed;
let log: ReceiptLog;
let server: Server;
let url: string;
let folder: string;
let file: string;

/** The routes that the commands use, over a real log. `null`: this router keeps none. */
async function answer(path: URL): Promise<object | null> {
  const number = (name: string) => Number(path.searchParams.get(name));
  switch (path.pathname) {
    case '/.well-known/shoal.json':
      return { protocol: PROTOCOL_VERSION, router_keys: [{ key: network.keys.signer.publicKey }] };
    case '/v1/log/head':
      return log.head();
    case '/v1/log/inclusion':
      return log.inclusion(path.searchParams.get('entry') ?? '');
    case '/v1/log/consistency':
      return log.consistency(number('from'), number('to'));
    case '/v1/log/entries':
      return log.entries(number('from'), number('limit'));
    default:
      return null;
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-log-'));
  file = join(folder, 'receipt.json');
  network = await TestNetwork.create();
  await network.addTab();
  const { want } = await network.ask('hello', { level: 'none' });
  receipt = (await network.session(want.task)).receipt(want.task);
  await writeFile(file, JSON.stringify(receipt));
  server = createServer((request, response) => {
    answer(new URL(request.url ?? '', url)).then(
      (body) => response.end(JSON.stringify(body)),
      (cause: ShoalError) =>
        response.writeHead(cause.status).end(JSON.stringify({ error: ShoalError.from(cause).toWire() })),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

const entries = (count: number, word = 'entry') =>
  Promise.all(Array.from({ length: count }, (_, i) => sha256(utf8(`${word} ${i}`))));

beforeEach(async () => {
  log = new ReceiptLog(new MemoryLogStore(), network.keys.signer, () => Date.now());
  await log.append(await entries(6));
});

const shoal = (...args: string[]) =>
  run(process.execPath, [bin, ...args]).then(
    ({ stdout }) => ({ status: 0, out: stdout }),
    (cause: { code: number; stdout: string; stderr: string }) => ({
      status: cause.code,
      out: cause.stdout + cause.stderr,
    }),
  );

describe('shoal verify and the log', () => {
  it('says which entry of the signed log the receipt is', async () => {
    await log.append([await entryOf(receipt)]);
    await log.append(await entries(3, 'later'));
    const { status, out } = await shoal('verify', file, '--router', url);
    expect({ status, out }).toEqual({ status: 0, out: expect.stringContaining('It is entry 7 of 10 in the log') });
  });

  it('has patience with a task that has just ended, and none with one that ended long ago', async () => {
    const { out } = await shoal('verify', file, '--router', url);
    expect(out).toContain('It is not in the log yet');
    const calls = { get: async () => Promise.reject(new ShoalError('receipt_pending', 'not there')) };
    const key = network.keys.signer.publicKey;
    expect(await standingInLog(receipt, Date.now() - 9 * 60_000, calls, key)).toEqual({ standing: 'not_yet' });
    expect(await standingInLog(receipt, Date.now() - 11 * 60_000, calls, key)).toEqual({
      standing: 'missing',
      problem: 'not there',
    });
  });

  it('takes neither another log’s proof nor nonsense for one, and passes trouble on', async () => {
    const key = network.keys.signer.publicKey;
    await log.append([await entryOf(receipt)]);
    const [other] = log.entries(0, 1).entries;
    const proof = await log.inclusion(other ?? '');
    const missing = { standing: 'missing', problem: expect.any(String) };
    for (const sent of [proof, null, [], { index: 0, path: [], head: await log.head() }]) {
      expect(await standingInLog(receipt, 0, { get: async () => sent }, key)).toEqual(missing);
    }
    const without = { get: () => Promise.reject(new ShoalError('route_not_found', 'This router keeps no log.')) };
    expect(await standingInLog(receipt, 0, without, key)).toEqual(missing);
    const broken = { get: () => Promise.reject(new ShoalError('internal_error', 'no connection')) };
    await expect(standingInLog(receipt, 0, broken, key)).rejects.toThrow('no connection');
  });

  it('is told not to ask, or is offline, and says so', async () => {
    for (const args of [
      ['--key', network.keys.signer.publicKey],
      ['--router', url, '--no-log'],
    ]) {
      const { status, out } = await shoal('verify', file, ...args);
      expect({ status, out }).toEqual({ status: 0, out: expect.stringContaining('The log was not asked') });
    }
  });
});

describe('shoal log', () => {
  const save = () => join(folder, 'head.json');

  it('keeps a head, and says later that the log only grew', async () => {
    const first = await shoal('log', '--router', url, '--save', save());
    expect(first).toMatchObject({ status: 0, out: expect.stringContaining('The log has 6 entries') });
    await log.append(await entries(5, 'later'));
    const later = await shoal(
      'log',
      '--router',
      url,
      '--since',
      save(),
      '--entries',
      '--key',
      network.keys.signer.publicKey,
    );
    expect(later).toMatchObject({ status: 0, out: expect.stringContaining('begins with the 6 entries') });
    expect(later.out).toContain('All 11 entries were read');
  });

  it('finds a log in which one old entry was changed, and keeps the head from before', async () => {
    await shoal('log', '--router', url, '--save', save());
    const before = await readFile(save(), 'utf8');
    const all = await entries(6);
    log = new ReceiptLog(new MemoryLogStore(), network.keys.signer, () => Date.now());
    await log.append(all.with(2, await sha256(utf8('another'))));
    await log.append(await entries(2, 'later'));
    const { status, out } = await shoal('log', '--router', url, '--since', save(), '--save', save());
    expect({ status, out }).toEqual({ status: 1, out: expect.stringContaining('The log was rewritten') });
    expect(await readFile(save(), 'utf8')).toBe(before);
  });

  it('finds a log that became shorter, and entries that are not those of the head', async () => {
    await shoal('log', '--router', url, '--save', save());
    const honest = log;
    log = new ReceiptLog(new MemoryLogStore(), network.keys.signer, () => Date.now());
    await log.append(await entries(4));
    expect((await shoal('log', '--router', url, '--since', save())).status).toBe(1);
    const { entries: inOrder, size } = honest.entries(0, 10);
    honest.entries = () => ({ from: 0, size, entries: inOrder.toReversed() });
    log = honest;
    const { status, out } = await shoal('log', '--router', url, '--entries');
    expect({ status, out }).toEqual({ status: 1, out: expect.stringContaining('do not have the root') });
  });

  it('reads no further than the head goes, and finds a log that has less than its head says', async () => {
    const head = await log.head();
    await log.append(await entries(3, 'later'));
    log.head = async () => head;
    const { status, out } = await shoal('log', '--router', url, '--entries');
    expect({ status, out }).toEqual({ status: 0, out: expect.stringContaining('All 6 entries were read') });
    log.entries = (from) => ({ from, size: 9, entries: [] });
    expect((await shoal('log', '--router', url, '--entries')).out).toContain('fewer entries than its head says');
  });

  it('refuses a head of another key with 1, and gives 2 and a sentence when it cannot read', async () => {
    expect((await shoal('log', '--router', url, '--key', 'A'.repeat(43))).status).toBe(1);
    for (const args of [
      ['log'],
      ['log', '--router', 'http://127.0.0.1:9'],
      ['log', '--router', url, '--since', file.replace('receipt', 'absent')],
    ]) {
      const { status, out } = await shoal(...args);
      expect({ args, status }).toEqual({ args, status: 2 });
      expect(out).not.toContain('    at ');
    }
  });
});
