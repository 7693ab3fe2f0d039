import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { PROTOCOL_VERSION } from '../shared/protocol/version.ts';
import golden from '../shared/receipt/golden-receipt.json' with { type: 'json' };
import { Shoal, ShoalError, verifyReceipt } from './index.ts';
import { RouterCalls } from './router-calls.ts';

const run = promisify(execFile);
const bin = new URL('./bin/shoal.mjs', import.meta.url).pathname;

describe('the client package', () => {
  it('verifies receipts', async () => {
    expect(await verifyReceipt(golden.receipt, { routerKey: golden.routerKey })).toMatchObject({ valid: true });
  });

  it('[S6] refuses plain http and ws to anything but this machine', () => {
    for (const url of [
      'http://shoal.example',
      'ws://localhost',
      'ftp://localhost',
      'http://localhost.example',
      'http://10.0.0.1',
    ]) {
      expect(() => new Shoal({ baseUrl: url }), url).toThrow(ShoalError);
    }
    for (const url of [
      'https://shoal.example',
      'http://localhost:8787',
      'http://127.0.0.1:1',
      'http://[::1]:1',
      'http://a.localhost',
    ]) {
      expect(() => new Shoal({ baseUrl: url }), url).not.toThrow();
    }
  });

  it('refuses bad requests before anything leaves the page', async () => {
    const called: unknown[] = [];
    const shoal = new Shoal({
      baseUrl: 'https://shoal.example',
      fetch: async (...call) => {
        called.push(call);
        return Response.error();
      },
    });
    const create = (params: object) => shoal.chat.completions.create(params as never).catch((cause: unknown) => cause);
    expect(await create({ model: 'm', messages: [] })).toMatchObject({ code: 'empty_messages' });
    expect(await create({ model: 'm', messages: [{ role: 'user', content: 'x' }], tools: [{}] })).toMatchObject({
      code: 'unsupported_field',
      param: 'tools',
    });
    expect(called).toEqual([]);
  });

  it('as a fetch for other clients, passes on what is no chat, and answers bad chats in OpenAI’s shape', async () => {
    const shoal = new Shoal({
      baseUrl: 'https://shoal.example',
      fetch: async (input) => new Response(new URL((input as Request).url).pathname),
    });
    expect(await (await shoal.fetch('https://shoal.example/v1/models')).text()).toBe('/v1/models');
    for (const path of ['/v1/completions', '/v1/embeddings', '/v1/map', '/v1/quotes']) {
      const refused = await shoal.fetch(`https://shoal.example${path}`, {
        method: 'POST',
        body: '{"prompt":"secret"}',
      });
      expect([refused.status, ((await refused.json()) as { error: object }).error]).toEqual([
        404,
        expect.objectContaining({ code: 'route_not_found' }),
      ]);
    }
    for (const more of [{ n: 2 }, { shoal: { redundancy: 2 } }]) {
      const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'secret' }], ...more });
      const refused = await shoal.fetch('https://shoal.example/v1/chat/completions', { method: 'POST', body });
      expect(refused.status).toBe(400);
    }
    const refused = await shoal.fetch('https://shoal.example/v1/chat/completions', {
      method: 'POST',
      body: '{"model":"m","messages":[]}',
    });
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ error: { code: 'empty_messages', type: 'invalid_request_error' } });
  });

  it('says which address could not be reached, and passes the router’s own errors on', async () => {
    const dead = new RouterCalls('http://localhost:9', () => Promise.reject(new TypeError('fetch failed')));
    await expect(dead.routerKeys()).rejects.toMatchObject({
      message: expect.stringContaining('http://localhost:9'),
      retryable: true,
    });
    const refusing = new RouterCalls('http://localhost:9', async () =>
      Response.json({ error: new ShoalError('model_not_found', 'no such').toWire() }, { status: 404 }),
    );
    await expect(refusing.receipt('rcpt_x')).rejects.toMatchObject({ code: 'model_not_found', message: 'no such' });
    const broken = new RouterCalls('http://localhost:9', async () => new Response('<html>', { status: 502 }));
    await expect(broken.receipt('rcpt_x')).rejects.toMatchObject({
      code: 'internal_error',
      message: expect.stringContaining('502'),
    });
  });

  it('[T1] does not wait for ever for a stream that does not begin, nor cuts one that has begun', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const answer = Promise.withResolvers<Response>();
    const signals: (AbortSignal | null | undefined)[] = [];
    const calls = new RouterCalls('https://shoal.example', async (_, init) => {
      signals.push(init?.signal);
      const late = Promise.withResolvers<never>();
      init?.signal?.addEventListener('abort', () => late.reject(init.signal?.reason));
      return Promise.race([signals.length === 1 ? late.promise : answer.promise, late.promise]);
    });
    const never = new AbortController().signal;
    const silent = expect(calls.openTask({} as never, never)).rejects.toMatchObject({ code: 'internal_error' });
    vi.advanceTimersByTime(60_000);
    await silent;
    const begun = calls.openTask({} as never, never);
    answer.resolve(new Response('x'));
    await begun;
    vi.advanceTimersByTime(60_000);
    expect(signals.map((signal) => signal?.aborted)).toEqual([true, false]);
    vi.useRealTimers();
  });

  it('refuses a router that lacks the pinned key, or is none', async () => {
    const withKeys = (keys: string[]) =>
      new Shoal({
        baseUrl: 'https://shoal.example',
        routerKey: 'P'.repeat(43),
        fetch: async () => Response.json({ protocol: PROTOCOL_VERSION, router_keys: keys.map((key) => ({ key })) }),
      });
    await expect(withKeys(['Q'.repeat(43)]).sealed.routerKey()).rejects.toMatchObject({ code: 'integrity_failed' });
    expect(await withKeys(['Q'.repeat(43), 'P'.repeat(43)]).sealed.routerKey()).toBe('P'.repeat(43));
    await expect(withKeys([]).sealed.routerKey()).rejects.toMatchObject({ code: 'integrity_failed' });
  });
});

describe('shoal verify', () => {
  let folder: string;
  let good: string;
  let server: Server;
  let url: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shoal-cli-'));
    good = join(folder, 'receipt.json');
    await writeFile(good, JSON.stringify(golden.receipt));
    server = createServer((_, response) =>
      response.end(JSON.stringify({ protocol: PROTOCOL_VERSION, router_keys: [{ key: golden.routerKey }] })),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  });
  afterAll(async () => {
    server.close();
    await rm(folder, { recursive: true });
  });

  const shoal = (...args: string[]) =>
    run(process.execPath, [bin, ...args]).then(
      ({ stdout }) => ({ status: 0, out: stdout }),
      (cause: { code: number; stdout: string; stderr: string }) => ({
        status: cause.code,
        out: cause.stdout + cause.stderr,
      }),
    );

  it('holds with 0, and says what it does not prove', async () => {
    const { status, out } = await shoal('verify', good, '--key', golden.routerKey);
    expect({ status, out }).toEqual({ status: 0, out: expect.stringContaining('The receipt holds.') });
    expect(out).toContain('does not prove that the tabs belong to different people');
  });

  it('takes the key from the router when none is given, and says so', async () => {
    expect((await shoal('verify', good, '--router', url)).out).toContain('The key came from the router itself');
  });

  it('refuses with 1 what was changed by one bit, or signed by another key', async () => {
    const bad = join(folder, 'bad.json');
    await writeFile(bad, (await readFile(good, 'utf8')).replace('answered', 'answerec'));
    expect(await shoal('verify', bad, '--key', golden.routerKey)).toMatchObject({
      status: 1,
      out: expect.stringContaining('REFUSED'),
    });
    expect((await shoal('verify', good, '--key', 'A'.repeat(43))).status).toBe(1);
    const dashed = await shoal('verify', good, '--key', `-${'A'.repeat(42)}`);
    expect(dashed).toMatchObject({ status: 1, out: expect.stringContaining('another key') });
  });

  it('gives 2 and a sentence when it cannot read', async () => {
    const nothing = join(folder, 'nothing.json');
    await writeFile(nothing, 'no json');
    for (const args of [
      [],
      ['verify'],
      ['verify', join(folder, 'absent.json')],
      ['verify', nothing, '--key', 'k'],
      ['verify', good, '--colour', 'x'],
      ['audit', good],
    ]) {
      const { status, out } = await shoal(...args);
      expect({ args, status }).toEqual({ args, status: 2 });
      expect(out.length).toBeGreaterThan(10);
      expect(out).not.toContain('    at ');
    }
  });
});
