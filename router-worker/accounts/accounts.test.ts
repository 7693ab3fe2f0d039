import { describe, expect, it } from 'vitest';
import { fromBase64Url } from '../../shared/bytes.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { MemoryKeyStore } from '../testing/memory-key-store.ts';
import { TEST_SECRET } from '../testing/network.ts';
import { Account } from './account.ts';
import { anonymousPolicy } from './anonymous.ts';
import { digestOf, mintKey, newAccountName, readKey } from './api-key.ts';
import { type KeyLimits, mayManage, NO_LIMITS } from './key-record.ts';
import { KEY_STORE_EXAM } from './key-store-exam.ts';
import { ACCOUNT_RATE, RateLimiter } from './rate-limit.ts';

const OTHER_SECRET = 'b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldC1vdGhlci1zZWNyZXQ';
const ANYTHING = { model: null, origin: null };

function anAccount() {
  const clock = { at: 1_000 };
  const store = new MemoryKeyStore();
  const account = new Account(
    () => store,
    () => clock.at,
  );
  const add = (limits: Partial<KeyLimits>) => account.addKey('digest', 'name', { ...NO_LIMITS, ...limits });
  const use = (model: string | null, origin: string | null = null) => {
    try {
      return account.authenticate('digest', { model, origin }).name;
    } catch (cause) {
      return (cause as { code: string }).code;
    }
  };
  return { account, clock, add, use };
}

describe('the key store in memory', () => {
  it.each(KEY_STORE_EXAM)('$title', ({ run }) => run(new MemoryKeyStore()));
});

describe('an API key', () => {
  it('[M8] names its account, holds 256 random bits, and is known by its digest', async () => {
    const keys = await routerKeys(TEST_SECRET);
    const account = newAccountName();
    const minted = await Promise.all([mintKey(keys, account), mintKey(keys, account)]);
    const secrets = minted.map((key) => fromBase64Url(key.slice('sk-shoal-'.length)).subarray(16, 48).join());
    expect(new Set(secrets).size).toBe(2);
    for (const key of minted) expect(await readKey(keys, key)).toEqual({ account, digest: await digestOf(key) });
  });

  it('[M8] that was changed in any letter, or made by another router, reaches nobody', async () => {
    const keys = await routerKeys(TEST_SECRET);
    const key = await mintKey(keys, newAccountName());
    const changed = [...key].flatMap((letter, at) =>
      at < 'sk-shoal-'.length ? [] : [`${key.slice(0, at)}${letter === 'A' ? 'B' : 'A'}${key.slice(at + 1)}`],
    );
    const foreign = await mintKey(await routerKeys(OTHER_SECRET), newAccountName());
    for (const wrong of [...changed, foreign, '', 'sk-shoal-', `${key}A`, key.slice(0, -1), `xx${key.slice(2)}`]) {
      await expect(readKey(keys, wrong), wrong).rejects.toMatchObject({ code: 'invalid_api_key' });
    }
    await routerKeys(TEST_SECRET);
  });

  it('[M8] may be used as its limits say, until it ends or is revoked', () => {
    const narrow = anAccount();
    narrow.add({ models: ['a', 'b:q8_0'], origins: ['https://page'] });
    expect(
      [
        ['a', 'https://page'],
        ['a:q4_0', 'https://page'],
        ['b:q8_0', 'https://page'],
        [null, 'https://page'],
        ['b', 'https://page'],
        ['b:q4_0', 'https://page'],
        ['a', 'https://other'],
        ['a', null],
      ].map(([model = null, origin = null]) => narrow.use(model, origin)),
    ).toEqual(['name', 'name', 'name', 'name', ...Array<string>(4).fill('key_not_allowed')]);
    const { account, add, use, clock } = anAccount();
    const { id } = add({ expiresAt: 2_000 });
    expect(use('a')).toBe('name');
    clock.at = 2_000;
    expect(use('a')).toBe('invalid_api_key');
    clock.at = 1_500;
    expect(account.revoke(id).revokedAt).toBe(1_500);
    clock.at = 1_600;
    expect([account.revoke(id).revokedAt, use('a'), account.keys().length]).toEqual([1_500, 'invalid_api_key', 1]);
    expect(() => account.authenticate('unknown', ANYTHING)).toThrow('Incorrect API key');
    expect(() => account.revoke('key_x')).toThrow('no such key');
  });

  it('[M8] manages keys only when it has no limits of its own', () => {
    expect([
      mayManage(NO_LIMITS),
      mayManage({ ...NO_LIMITS, expiresAt: 1 }),
      mayManage({ ...NO_LIMITS, budget: 1 }),
      mayManage({ ...NO_LIMITS, models: ['m'] }),
      mayManage({ ...NO_LIMITS, origins: ['o'] }),
      mayManage({ ...NO_LIMITS, level: 'none' }),
    ]).toEqual([true, true, false, false, false, false]);
  });
});

describe('a rate', () => {
  it('takes as many as there are, says when there will be another, and fills up evenly', () => {
    const limits = { requests: 3, tokens: 600 };
    const rate = new RateLimiter();
    expect(rate.take(limits, 100, 0)).toEqual({
      retryMs: null,
      state: { limits, remaining: { requests: 2, tokens: 500 }, resetMs: { requests: 20_000, tokens: 10_000 } },
    });
    rate.take(limits, 100, 0);
    rate.take(limits, 100, 0);
    expect(rate.take(limits, 100, 0).retryMs).toBe(20_000);
    expect(rate.take(limits, 100, 19_999).retryMs).toBe(1);
    expect(rate.take(limits, 100, 20_000).retryMs).toBe(null);
    expect(rate.take(limits, 601, 30_000).retryMs).toBe(10_000); // More than all: it waits for a full bucket.
    expect(rate.take(limits, 601, 40_000).retryMs).toBe(null);
  });

  it('of an account is counted apart from that of others', () => {
    const [one, two] = [anAccount(), anAccount()];
    for (let i = 0; i < ACCOUNT_RATE.requests; i++) one.account.count(ACCOUNT_RATE, 1);
    expect(one.account.count(ACCOUNT_RATE, 1).retryMs).toBe(100);
    expect(two.account.count(ACCOUNT_RATE, 1).retryMs).toBe(null);
  });
});

describe('use without a key', () => {
  it('[M9] is open on the operator’s own machine, limited elsewhere, and as the operator says', () => {
    const rateOf = (setting: string | undefined, isLocalhost: boolean) => anonymousPolicy(setting, isLocalhost).rate;
    expect([rateOf(undefined, true), rateOf('', true), rateOf('open', false)]).toEqual([null, null, null]);
    const limited = { requests: 20, tokens: 40_000 };
    expect([rateOf(undefined, false), rateOf('limited', true)]).toEqual([limited, limited]);
    expect(() => anonymousPolicy('off', true)).toThrow('did not provide an API key');
    expect(() => anonymousPolicy('toString', true)).toThrow('SHOAL_ANONYMOUS must be one of: open, limited, off');
  });
});
