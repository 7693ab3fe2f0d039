import { env, runInDurableObject, SELF } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { operatorPass, routerKeys } from '../keys/router-keys.ts';
import { poolStub } from '../pool/pool-address.ts';
import { SqlReadingStore } from './reading-store.ts';
import { READING_STORE_EXAM, readingOfTest } from './reading-store-exam.ts';

const read = (path: string, pass: string | null) =>
  SELF.fetch(`https://shoal.test${path}`, { headers: pass === null ? {} : { authorization: `Bearer ${pass}` } });

describe('the SQL store of readings', () => {
  it.each(READING_STORE_EXAM.map((examCase, index) => ({ ...examCase, index })))('$title', async ({ run, index }) => {
    const stub = env.SESSION.get(env.SESSION.idFromName(`reading exam ${index}`));
    await runInDurableObject(stub, (_, state) => run(new SqlReadingStore(state.storage.sql)));
  });
});

describe('what a router collected for calibration', () => {
  it('is read by its operator, as the committed data are', async () => {
    await runInDurableObject(poolStub(env), (_, { storage }) =>
      new SqlReadingStore(storage.sql).add(readingOfTest(48)),
    );
    const pass = await operatorPass(await routerKeys(env.SHOAL_ROUTER_SECRET));
    const csv = await (await read('/v1/calibration?model=m', pass)).text();
    expect(csv.split('\n')).toEqual([
      'population,prompt,temperature,checker,same,positions,meanGap,largestGap,outside,z,largestSurprise,undrawable,meanDistance,strayed,cuts,first,among',
      'honest,1,0,idle,1,48,0.5,1,0,,,,,,2,1,2',
      '',
    ]);
    expect((await read('/v1/calibration', pass)).status).toBe(400);
    for (const other of [null, 'sk-shoal-x']) expect((await read('/v1/calibration?model=m', other)).status).toBe(403);
  });
});
