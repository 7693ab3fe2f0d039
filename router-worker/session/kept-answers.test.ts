import { describe, expect, it } from 'vitest';
import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { NodeSql } from '../testing/node-sql.ts';
import { openAnswer, sealAnswer } from './answer-seal.ts';
import { ANSWER_KEPT_MS, KeptAnswers } from './kept-answers.ts';

const bytes = (length: number, fill = 1) => new Uint8Array(length).fill(fill);

describe('the answers that a session keeps', () => {
  it('are given back as they were, and the first of a task stays', () => {
    const kept = new KeptAnswers(new NodeSql().sql, () => 0);
    expect(kept.read('a')).toBe(null);
    expect(kept.keep('a', bytes(3))).toBe(true);
    expect(kept.keep('a', bytes(3, 2))).toBe(true);
    expect(kept.read('a')).toEqual(bytes(3));
    kept.clear();
    expect([kept.read('a'), kept.nextDueAt()]).toEqual([null, null]);
  });

  it('[B7] are bounded in bytes: the oldest are dropped, and one that is too large is not kept', () => {
    const kept = new KeptAnswers(new NodeSql().sql, () => 0, 100);
    for (const tail of ['a', 'b', 'c']) expect(kept.keep(tail, bytes(40))).toBe(true);
    expect(['a', 'b', 'c'].map((tail) => kept.read(tail)?.byteLength ?? null)).toEqual([null, 40, 40]);
    expect(kept.keep('d', bytes(101))).toBe(false);
    expect(['b', 'c', 'd'].map((tail) => kept.read(tail)?.byteLength ?? null)).toEqual([40, 40, null]);
  });

  it('[B7] are bounded in age', () => {
    let now = 1_000;
    const { sql } = new NodeSql();
    const kept = new KeptAnswers(sql, () => now);
    kept.keep('a', bytes(1));
    expect(kept.nextDueAt()).toBe(1_000 + ANSWER_KEPT_MS);
    now += ANSWER_KEPT_MS;
    expect(kept.read('a')).toBe(null); // Before it is swept, too.
    kept.sweep();
    expect(kept.nextDueAt()).toBe(null);
    expect(new KeptAnswers(sql, () => now).read('a')).toBe(null);
  });
});

describe('the seal of a kept answer', () => {
  it('[B7] is of its router, its session and its task, and of no other', async () => {
    const keys = await routerKeys(toBase64Url(randomBytes(32)));
    const sealed = await sealAnswer(keys, 'sess_a', 'task', 'tea and milk');
    expect(new TextDecoder().decode(sealed)).not.toContain('milk');
    expect(await openAnswer(keys, 'sess_a', 'task', sealed)).toBe('tea and milk');
    expect(await sealAnswer(keys, 'sess_a', 'task', 'tea and milk')).not.toEqual(sealed);
    const others = await routerKeys(toBase64Url(randomBytes(32)));
    await expect(openAnswer(others, 'sess_a', 'task', sealed)).rejects.toThrow();
    await expect(openAnswer(keys, 'sess_b', 'task', sealed)).rejects.toThrow();
    await expect(openAnswer(keys, 'sess_a', 'other', sealed)).rejects.toThrow();
  });
});
