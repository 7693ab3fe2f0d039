import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Level } from '../../shared/protocol/level.ts';
import type { PricedReceipt } from '../../shared/receipt/price-lines.ts';
import type { EndedTask } from '../task/task.ts';
import { billOf, type Terms } from './bill.ts';

const statement = (payload: object) => ({ payload: JSON.stringify(payload), key: '', signature: '' });
const key = (fill: string) => fill.repeat(43);
const TAIL = 'a'.repeat(46);

/** What a tab says of an answer of 200 bytes. */
function commitOf(prompt: number, completion: number, bytes = 200) {
  return {
    v: 1,
    task: TAIL,
    lease: key('l'),
    class: `cls_${'c'.repeat(22)}`,
    prompt: key('p'),
    chain: {
      blocks: Array.from({ length: Math.floor(bytes / 64) }, () => 'A'.repeat(22)),
      head: key('A'),
      bytes,
    },
    finish: 'stop',
    tokens: { prompt, completion },
    embedding: null,
    sent: { relay: { frames: 1, bytes: 1 }, direct: { frames: 0, bytes: 0 } },
  };
}

const terms = (level: Level, part: Partial<Terms> = {}): Terms => ({
  prices: { q8_0: 10 },
  level,
  wanted: 1,
  sla: 'standard',
  promptTokens: 100,
  tokens: 300,
  ...part,
});

type Verdict = EndedTask['verdict'];
const unchecked = (reason: Extract<Verdict, { value: 'unchecked' }>['reason']): Verdict => ({
  value: 'unchecked',
  reason,
});
const judged = (value: 'valid' | 'invalid' | 'disputed', agree: number, differ: number): Verdict => ({
  value,
  method: 'exact-re-execution',
  blocks: 4,
  falseBlock: value === 'valid' ? null : 0,
  agree,
  differ,
  cosine: null,
});

interface Scene {
  readonly verdict: Verdict;
  readonly outcome?: EndedTask['outcome'];
  readonly tokens?: readonly [number, number];
  readonly bytes?: number;
  /** What each check found: `same`, or the head that it wrote; null when it was lost. */
  readonly checks?: readonly (string | null)[];
  readonly isCommitted?: boolean;
  readonly isPrivate?: boolean;
}

/** As much of an ended task and its receipt as a bill looks at. */
function ended(
  {
    verdict,
    outcome = { value: 'answered' },
    tokens = [20, 30],
    bytes = 200,
    checks = [],
    isCommitted = true,
    isPrivate = false,
  }: Scene,
  { level, wanted }: Terms,
) {
  const commit = commitOf(...tokens, bytes);
  const lease = { tab: 'tab', class: 'cls' };
  const task = {
    task: TAIL,
    variant: 'q8_0',
    private: isPrivate,
    endedAt: 7,
    lease,
    outcome,
    verdict,
    committed: isCommitted ? { commit, statement: statement(commit) } : null,
    checks: checks.map((found, i) => ({
      checker: `checker ${i}`,
      lease: { tab: `checker ${i}`, class: 'cls' },
      finding:
        found === null
          ? null
          : {
              rung: 'exact',
              falseBlock: found === 'same' ? null : 0,
              head: found === 'same' ? 'head' : found,
              cosine: null,
            },
    })),
  } as unknown as EndedTask;
  const receipt = {
    commit: isCommitted ? statement(commit) : null,
    checks: [],
    outcome,
    verdict,
    private: isPrivate,
    level,
    wanted: wanted as 1 | 2 | 3,
  } satisfies PricedReceipt;
  return { task, receipt };
}

function bill(scene: Scene, wanted: Terms, amount = 100_000) {
  const { task, receipt } = ended(scene, wanted);
  const { charged, pays, tokens, percent } = billOf(task, receipt, { amount, terms: wanted });
  return { charged, tokens, percent: percent.level, pays: pays.map(({ tab, amount: paid }) => [tab, paid]) };
}

describe('a bill', () => {
  it('[M5] is the tokens that count, times the price, the level and the class', () => {
    const tokens = { prompt: 20, completion: 30 };
    expect(bill({ verdict: unchecked('not_asked') }, terms('none'))).toEqual({
      charged: 500,
      tokens,
      percent: 100,
      pays: [['tab', 475]],
    });
    expect(bill({ verdict: unchecked('not_sampled') }, terms('basic')).charged).toBe(525);
    expect(bill({ verdict: judged('valid', 1, 0), checks: ['same'] }, terms('cross'))).toEqual({
      charged: 1_000,
      tokens,
      percent: 200,
      pays: [
        ['tab', 475],
        ['checker 0', 475],
      ],
    });
    expect(bill({ verdict: judged('valid', 1, 0), checks: ['same'] }, terms('strict')).charged).toBe(1_050);
    expect(bill({ verdict: unchecked('not_asked') }, terms('none', { sla: 'fast' }))).toMatchObject({
      charged: 750,
      pays: [['tab', 712]],
    });
  });

  it('[M6] pays an answering tab the same at every level', () => {
    const paid = (['none', 'basic', 'cross', 'strict'] as const).map(
      (level) => bill({ verdict: judged('valid', 1, 0), checks: ['same'] }, terms(level)).pays[0],
    );
    expect(new Set(paid.map(String))).toEqual(new Set(['tab,475']));
  });

  it('[M5] charges no check that did not come to its end', () => {
    expect(bill({ verdict: unchecked('nobody_fit') }, terms('cross')).charged).toBe(500);
    expect(bill({ verdict: unchecked('nobody_fit') }, terms('basic')).charged).toBe(500);
    expect(
      bill({ verdict: unchecked('checker_lost'), checks: [null, null] }, terms('cross', { wanted: 2 })),
    ).toMatchObject({
      charged: 500,
      pays: [['tab', 475]],
    });
    expect(
      bill({ verdict: judged('valid', 1, 0), checks: ['same', null] }, terms('cross', { wanted: 3 })).charged,
    ).toBe(1_000);
  });

  it('[M5] pays more checks than were asked for, and charges no more than that', () => {
    const disputed = bill({ verdict: judged('valid', 2, 1), checks: ['other', 'same', 'same'] }, terms('cross'));
    expect(disputed).toMatchObject({
      charged: 1_000,
      pays: [
        ['tab', 475],
        ['checker 1', 475],
        ['checker 2', 475],
      ],
    });
  });

  it('[M5] costs nothing for what failed, was refuted or was withheld', () => {
    const nothing = { charged: 0, pays: [] };
    const failed = { outcome: { value: 'failed', code: 'tab_lost' }, verdict: unchecked('no_answer') } as const;
    expect(bill(failed, terms('none'))).toMatchObject(nothing);
    expect(bill({ ...failed, isCommitted: false }, terms('none'))).toMatchObject(nothing);
    expect(bill({ verdict: unchecked('nobody_fit') }, terms('strict'))).toMatchObject(nothing);
    expect(bill({ verdict: unchecked('client_gone') }, terms('strict'))).toMatchObject({ charged: 500 });
    const refuted = bill({ verdict: judged('invalid', 0, 2), checks: ['truth', 'truth'] }, terms('cross'));
    expect(refuted).toMatchObject({
      charged: 0,
      pays: [
        ['checker 0', 475],
        ['checker 1', 475],
      ],
    });
  });

  it('[M5] at level strict is for an answer that as many tabs as were asked for have proven', () => {
    const one = { verdict: judged('valid', 1, 0), checks: ['same', null] };
    expect(bill(one, terms('strict', { wanted: 2 }))).toMatchObject({ charged: 500, pays: [['checker 0', 475]] });
    const two = { verdict: judged('valid', 2, 0), checks: ['same', 'same'] };
    expect(bill(two, terms('strict', { wanted: 2 })).charged).toBe(1_550);
  });

  it('[M5] at level strict pays checks that proved nothing out of what is charged for them, and never out of the fees', () => {
    const disputed = { verdict: judged('disputed', 2, 3), checks: ['same', 'same', 'other', 'other', 'other'] };
    expect(bill(disputed, terms('strict'))).toMatchObject({
      charged: 500,
      pays: [0, 1, 2, 3, 4].map((i) => [`checker ${i}`, 95]),
    });
    fc.assert(
      fc.property(
        fc.record({
          verdict: fc.constantFrom(
            unchecked('nobody_fit'),
            unchecked('checker_lost'),
            judged('disputed', 1, 2),
            judged('valid', 1, 0),
          ),
          tokens: fc.tuple(fc.nat(500), fc.nat(500)),
          checks: fc.array(fc.constantFrom('same', 'other', 'third', null), { maxLength: 6 }),
        }),
        fc.integer({ min: 2, max: 3 }),
        fc.constantFrom('fast', 'standard', 'batch'),
        fc.nat(20_000),
        (scene, wanted, sla: Terms['sla'], amount) => {
          const { charged, pays } = bill(scene, terms('strict', { wanted, sla }), amount);
          expect(pays.reduce((sum, [, paid]) => sum + Number(paid), 0)).toBeLessThanOrEqual(charged);
        },
      ),
      { seed: 5 },
    );
  });

  it('[M5] is nothing for what the router itself threw away, and pays nobody for it', () => {
    const { task, receipt } = ended({ verdict: judged('valid', 1, 0), checks: ['same'] }, terms('cross'));
    const discarded = billOf(task, receipt, { amount: 5_000, terms: terms('cross'), discarded: true });
    expect([discarded.charged, discarded.pays]).toEqual([0, []]);
  });

  it('[M5] is for a private answer at level strict whatever the checks came to: the router cannot withhold it', () => {
    const isPrivate = true;
    const nobody = { verdict: unchecked('nobody_fit'), isPrivate };
    expect(bill(nobody, terms('strict'))).toMatchObject({ charged: 500, pays: [['tab', 475]] });
    const tooFew = { verdict: judged('valid', 1, 0), checks: ['same', null], isPrivate };
    expect(bill(tooFew, terms('strict', { wanted: 3 }))).toMatchObject({ charged: 1_050 });
    const refuted = { verdict: judged('invalid', 0, 2), checks: ['truth', 'truth'], isPrivate };
    expect(bill(refuted, terms('strict')).charged).toBe(0);
  });

  it('[M5] of a stopped answer is for what was written until then', () => {
    const stopped = { outcome: { value: 'cancelled' }, verdict: unchecked('no_answer'), tokens: [20, 5] } as const;
    expect(bill(stopped, terms('cross'))).toMatchObject({ charged: 250, pays: [['tab', 237]] });
    expect(bill({ ...stopped, isCommitted: false }, terms('cross'))).toMatchObject({ charged: 0, pays: [] });
  });

  it('[M5] believes no tab that claims more tokens than its answer has bytes, or than were allowed', () => {
    expect(bill({ verdict: unchecked('not_asked'), tokens: [20, 5_000], bytes: 99 }, terms('none')).tokens).toEqual({
      prompt: 20,
      completion: 100,
    });
    expect(bill({ verdict: unchecked('not_asked'), tokens: [5_000, 5_000] }, terms('none')).tokens).toEqual({
      prompt: 100,
      completion: 200,
    });
  });

  it('[M3] never comes to more than was held, nor pays an answer more than it charges', () => {
    const verdicts = [
      unchecked('not_asked'),
      unchecked('client_gone'),
      judged('valid', 1, 0),
      judged('disputed', 1, 1),
    ];
    fc.assert(
      fc.property(
        fc.record({
          verdict: fc.constantFrom(...verdicts),
          tokens: fc.tuple(fc.nat(500), fc.nat(500)),
          bytes: fc.nat(2_000),
          checks: fc.array(fc.constantFrom('same', 'other', null), { maxLength: 6 }),
        }),
        fc.constantFrom('none', 'basic', 'cross', 'strict'),
        fc.constantFrom('fast', 'standard', 'batch'),
        fc.nat(5_000),
        (scene, level: Level, sla: Terms['sla'], amount) => {
          const { charged, pays } = bill(scene, terms(level, { sla }), amount);
          const answer = pays.find(([tab]) => tab === 'tab')?.[1] ?? 0;
          expect(charged).toBeLessThanOrEqual(amount);
          expect(Number(answer)).toBeLessThanOrEqual(charged);
          expect(pays.every(([, paid]) => Number.isSafeInteger(paid) && Number(paid) > 0)).toBe(true);
        },
      ),
      { seed: 3 },
    );
  });
});
