import { env, runInDurableObject } from 'cloudflare:test';
import { describe, it } from 'vitest';
import { RECORD_STORE_EXAM } from './record-store-exam.ts';
import { SqlRecordStore } from './sql-record-store.ts';

describe('the SQL record store', () => {
  it.each(RECORD_STORE_EXAM.map((examCase, index) => ({ ...examCase, index })))('$title', async ({ run, index }) => {
    const stub = env.SESSION.get(env.SESSION.idFromName(`record exam ${index}`));
    await runInDurableObject(stub, (_, state) => run(new SqlRecordStore(state.storage.sql)));
  });
});
