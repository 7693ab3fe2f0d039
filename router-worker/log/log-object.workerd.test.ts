import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject, SELF } from 'cloudflare:test';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { toBase64Url } from '../../shared/bytes.ts';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import { checkConsistency, checkInclusion, openLogHead } from '../../shared/receipt-log/check-log.ts';
import {
  consistencyResponse,
  entriesResponse,
  entryOf,
  inclusionResponse,
  type LogHead,
} from '../../shared/receipt-log/log-api.ts';
import { leafHash } from '../../shared/receipt-log/merkle-tree.ts';
import { type Signed, signed } from '../../shared/signing/signed-statement.ts';
import { routerKeys, sessionOfTask } from '../keys/router-keys.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { sessionStub } from '../pool/session-calls.ts';
import { lendWorkerdTab } from '../testing/workerd-tab.ts';
import { logStub } from './log-address.ts';
import { SqlLogStore } from './log-store.ts';
import { LOG_STORE_EXAM } from './log-store-exam.ts';
import { ReceiptLog } from './receipt-log.ts';

const ORIGIN = 'https://shoal.test';

async function get<T>(path: string, schema: v.GenericSchema<unknown, T>): Promise<T> {
  const response = await SELF.fetch(`${ORIGIN}/v1/log/${path}`);
  expect(response.status, path).toBe(200);
  return v.parse(schema, await response.json());
}

async function refusal(path: string): Promise<unknown> {
  const { error } = await (await SELF.fetch(`${ORIGIN}/v1/log/${path}`)).json<{ error: { code: string } }>();
  return error.code;
}

const routerKey = async () => (await routerKeys(env.SHOAL_ROUTER_SECRET)).signer.publicKey;

async function head(): Promise<LogHead> {
  return openLogHead(await get('head', signed), await routerKey());
}

/** An answer of a tab in this process, and its receipt. */
async function anAnswer(content: string): Promise<{ readonly id: string; readonly receipt: Signed }> {
  const served = (await servedCatalogue(env)).find((entry) => entry.variant.id === 'q8_0')!;
  const table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
  const tab = await lendWorkerdTab(served.class, table);
  const body = { model: 'shoal-pup-3m:q8_0', messages: [{ role: 'user', content }], shoal: { level: 'none' } };
  const response = await SELF.fetch(`${ORIGIN}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const { shoal } = await response.json<{ shoal: { receipt: string } }>();
  await expect.poll(async () => (await SELF.fetch(`${ORIGIN}/v1/receipts/${shoal.receipt}`)).status).toBe(200);
  const receipt = await (await SELF.fetch(`${ORIGIN}/v1/receipts/${shoal.receipt}`)).json<Signed>();
  await tab.tab.close();
  return { id: shoal.receipt, receipt };
}

describe('the SQL log store', () => {
  it.each(LOG_STORE_EXAM.map((examCase, index) => ({ ...examCase, index })))('$title', async ({ run, index }) => {
    const stub = env.LOG.get(env.LOG.idFromName(`exam ${index}`));
    await runInDurableObject(stub, (_, { storage }) =>
      run(new SqlLogStore(storage.sql, (act) => storage.transactionSync(act))),
    );
  });
});

describe('the log object', () => {
  it('keeps its entries through eviction, and proves that it only grew', async () => {
    const entries = await Promise.all([1, 2, 3, 4, 5].map((n) => leafHash(new Uint8Array([n]))));
    const texts = entries.map(toBase64Url);
    const before = await head();
    await logStub(env).append(texts.slice(0, 3));
    const early = await head();
    await evictDurableObject(logStub(env));
    await logStub(env).append(texts);
    const late = await head();
    expect([early.size - before.size, late.size - before.size]).toEqual([3, 5]);
    for (const earlier of [before, early]) {
      const path = `consistency?from=${earlier.size}&to=${late.size}`;
      await checkConsistency(earlier, late, await get(path, consistencyResponse));
    }
    expect(await get(`entries?from=${before.size}&limit=4`, entriesResponse)).toEqual({
      from: before.size,
      size: late.size,
      entries: texts.slice(0, 4),
    });
  });

  it('whose old leaf was changed in storage, nodes and all, is found by a head from before', async () => {
    const entries = await Promise.all([11, 12, 13, 14, 15, 16].map((n) => leafHash(new Uint8Array([n]))));
    await logStub(env).append(entries.map(toBase64Url));
    const kept = await head();
    await runInDurableObject(logStub(env), async (_, { storage }) => {
      const { sql } = storage;
      const digests = sql.exec<{ digest: ArrayBuffer }>('SELECT digest FROM entry ORDER BY number').toArray();
      const rewritten = digests.map(({ digest }) => new Uint8Array(digest));
      rewritten[1] = await leafHash(new Uint8Array([99]));
      sql.exec('DELETE FROM entry');
      sql.exec('DELETE FROM node');
      const { signer } = await routerKeys(env.SHOAL_ROUTER_SECRET);
      const store = new SqlLogStore(sql, (act) => storage.transactionSync(act));
      await new ReceiptLog(store, signer, () => Date.now()).append(rewritten);
    });
    await logStub(env).append([toBase64Url(await leafHash(new Uint8Array([17])))]);
    const now = await head();
    expect(now.size).toBe(kept.size + 1);
    const proof = await get(`consistency?from=${kept.size}&to=${now.size}`, consistencyResponse);
    await expect(checkConsistency(kept, now, proof)).rejects.toMatchObject({ code: 'integrity_failed' });
  });

  it('[G1] gets the receipt of every task that ended, once, though the session was evicted in between', async () => {
    const { id, receipt } = await anAnswer('to be logged');
    const tail = id.slice(5);
    const session = sessionStub(env, await sessionOfTask(await routerKeys(env.SHOAL_ROUTER_SECRET), tail));
    await evictDurableObject(session);
    await runDurableObjectAlarm(session); // False when it went off by itself already.
    await expect.poll(async () => (await SELF.fetch(`${ORIGIN}/v1/log/inclusion?receipt=${id}`)).status).toBe(200);
    const proof = await get(`inclusion?receipt=${id}`, inclusionResponse);
    await checkInclusion(receipt, proof, await routerKey());
    const entry = toBase64Url(await entryOf(receipt));
    expect((await get(`inclusion?entry=${entry}`, inclusionResponse)).index).toBe(proof.index);
    await runInDurableObject(session, (_, { storage }) => {
      expect(storage.sql.exec('SELECT tail FROM unlogged').toArray()).toEqual([]);
      storage.sql.exec('INSERT INTO unlogged (tail) VALUES (?)', tail); // As if the reply of the log had been lost.
      return storage.setAlarm(Date.now() + 60_000);
    });
    const { size } = await head();
    await runDurableObjectAlarm(session);
    expect((await head()).size).toBe(size);
  });

  it('refuses what it cannot answer by name', async () => {
    expect([
      await refusal('inclusion'),
      await refusal('inclusion?receipt=rcpt_x'),
      await refusal(`inclusion?entry=${'A'.repeat(42)}`),
      await refusal(`inclusion?entry=${'A'.repeat(43)}`),
      await refusal('consistency'),
      await refusal('consistency?from=-1'),
      await refusal('consistency?from=9007199254740991'),
      await refusal('entries?limit=0'),
      await refusal('entries?limit=1001'),
      await refusal('entries?from=x'),
    ]).toEqual([
      'missing_field',
      'receipt_not_found',
      'invalid_value',
      'receipt_pending',
      'missing_field',
      'invalid_value',
      'invalid_value',
      'invalid_value',
      'invalid_value',
      'invalid_value',
    ]);
  });
});
