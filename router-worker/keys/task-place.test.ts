import { describe, expect, it } from 'vitest';
import { fromBase64Url, toBase64Url } from '../../shared/bytes.ts';
import { MAX_POOLS } from '../pool/rendezvous.ts';
import { newTaskTail, placeOfTask, routerKeys, sessionNameOf } from './router-keys.ts';

const SECRET = 'dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHkh';

describe('[Q6] the id of a task', () => {
  it('says its session and its pool to the router', async () => {
    const keys = await routerKeys(SECRET);
    const session = await sessionNameOf(keys, 'a conversation');
    for (let pool = 0; pool < MAX_POOLS; pool++) {
      const tail = await newTaskTail(keys, session, pool);
      expect(tail).toHaveLength(46);
      expect(await placeOfTask(keys, tail)).toEqual({ session, pool });
    }
  });

  it('stays valid that was made when there was one pool', async () => {
    const keys = await routerKeys(SECRET);
    // Made by the release before pools had numbers.
    const tail = '1zYiH43chLefeUWnUVx0fppuOQ2Wkeu1m5ffOsfs5dQxNg';
    expect(await placeOfTask(keys, tail)).toEqual({ session: 'D1uyRa0azN3C5xEtWddY2g', pool: 0 });
  });

  it('is of one pool alone: another number in its place reaches no object', async () => {
    const keys = await routerKeys(SECRET);
    const bytes = fromBase64Url(await newTaskTail(keys, await sessionNameOf(keys, 's'), 3));
    const last = bytes.length - 1;
    for (let other = 1; other < 256; other++) {
      const forged = bytes.slice();
      forged[last] = (forged[last] ?? 0) ^ other;
      await expect(placeOfTask(keys, toBase64Url(forged))).rejects.toMatchObject({ code: 'task_not_found' });
    }
  });

  it('tells nobody else which pool it is: the last bytes of one pool’s ids have nothing in common', async () => {
    const keys = await routerKeys(SECRET);
    const session = await sessionNameOf(keys, 's');
    const tails = await Promise.all(Array.from({ length: 64 }, () => newTaskTail(keys, session, 7)));
    expect(new Set(tails.map((tail) => fromBase64Url(tail).at(-1))).size).toBeGreaterThan(40);
  });
});
