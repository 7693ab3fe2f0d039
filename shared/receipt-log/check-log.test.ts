import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { toBase64Url } from '../bytes.ts';
import type { Signed } from '../signing/signed-statement.ts';
import { checkConsistency, checkInclusion, openLogHead } from './check-log.ts';
import { type ConsistencyResponse, entryOf, type InclusionResponse } from './log-api.ts';

/** Heads and proofs of this version of the log, made once. They must stay verifiable: a head that somebody kept is evidence. */
const golden = JSON.parse(readFileSync(new URL('./golden-log.json', import.meta.url), 'utf8')) as {
  routerKey: string;
  receipt: Signed;
  entry: string;
  earlier: Signed;
  later: Signed;
  inclusion: InclusionResponse;
  consistency: ConsistencyResponse;
};
const { routerKey, receipt } = golden;

describe('a log that was saved long ago', () => {
  it('still names the same entry for the same receipt', async () => {
    expect(toBase64Url(await entryOf(receipt))).toBe(golden.entry);
  });

  it('still proves that the receipt is in it, and that it only grew', async () => {
    expect(await checkInclusion(receipt, golden.inclusion, routerKey)).toMatchObject({ index: 3, head: { size: 11 } });
    const [earlier, later] = [await openLogHead(golden.earlier, routerKey), await openLogHead(golden.later, routerKey)];
    expect([earlier.size, later.size]).toEqual([5, 11]);
    await checkConsistency(earlier, later, golden.consistency);
    await expect(checkConsistency(later, earlier, golden.consistency)).rejects.toThrow('The log was rewritten');
  });

  it('has heads of which no other statement can take the place', async () => {
    const posed = { ...golden.later, payload: golden.later.payload.replace('"size":11', '"size":12') };
    await expect(openLogHead(posed, routerKey)).rejects.toMatchObject({ code: 'integrity_failed' });
    await expect(openLogHead(receipt, receipt.key)).rejects.toThrow('signature of the log-head');
  });
});
