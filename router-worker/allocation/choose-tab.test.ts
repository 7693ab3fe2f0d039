import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Candidate, type Choice, chooseTab, MOST_COMPARED, type Requirements } from './choose-tab.ts';

interface Part extends Partial<Omit<Candidate, 'tab' | 'speeds'>> {
  readonly decode?: number;
  readonly prefill?: number;
  readonly reliability?: number;
}
const tab = (name: string, { decode = 100, prefill = 1_000, reliability = 1, ...part }: Part = {}): Candidate => ({
  tab: name,
  class: 'c',
  load: 0,
  busyForMs: part.load === 1 ? 60_000 : 0,
  rank: 0,
  isResting: false,
  ...part,
  speeds: { prefill, decode, reliability, roundTripMs: 100, isMeasured: true },
});
const anyTab: Requirements = { classes: ['c'], only: null, allow: null, block: [], prefer: null, warm: null };
const chat = { promptTokens: 1_000, outputTokens: 100 };
const choose = (tabs: readonly Candidate[], wanted: Partial<Requirements> = {}, draw = 0) =>
  chooseTab(tabs, { ...anyTab, ...wanted }, chat, () => draw);
const tabOf = (choice: Choice) => (choice.do === 'refuse' ? null : `${choice.do} ${choice.tab}`);

function draws(): () => number {
  let state = 1;
  return () => {
    state = (state * 48_271) % 0x7fff_ffff;
    return state / 0x7fff_ffff;
  };
}

describe('choosing a tab', () => {
  it('refuses when nobody serves, waits when all are busy', () => {
    expect(choose([])).toEqual({ do: 'refuse' });
    expect(choose([tab('a', { class: 'd' })])).toEqual({ do: 'refuse' });
    expect(tabOf(choose([tab('a', { load: 1 })]))).toBe('wait a');
  });

  it('takes the one that is expected to finish first: reading, writing, and how often it fails', () => {
    const reader = tab('reader', { prefill: 4_000, decode: 20 });
    const writer = tab('writer', { prefill: 500, decode: 200 });
    const ask = (work: typeof chat) => tabOf(chooseTab([reader, writer], anyTab, work, () => 0));
    expect(ask({ promptTokens: 4_000, outputTokens: 10 })).toBe('lease reader');
    expect(ask({ promptTokens: 10, outputTokens: 400 })).toBe('lease writer');
    const fails = tab('fails', { decode: 150, reliability: 0.4 });
    expect(tabOf(choose([fails, tab('steady')]))).toBe('lease steady');
  });

  it('shares among those that are about as fast', () => {
    const tabs = [tab('slow', { decode: 10 }), tab('a'), tab('b', { decode: 96 })];
    expect([0, 0.99].map((draw) => tabOf(choose(tabs, {}, draw)))).toEqual(['lease a', 'lease b']);
  });

  it('waits for a busy tab that will be through with it long before any that is free', () => {
    const slow = tab('slow', { decode: 2, prefill: 20 });
    expect(tabOf(choose([slow, tab('fast', { load: 1, busyForMs: 3_000 })]))).toBe('wait fast');
    expect(tabOf(choose([slow, tab('fast', { load: 1, busyForMs: 200_000 })]))).toBe('lease slow');
    expect(tabOf(choose([tab('a'), tab('fast', { load: 1, busyForMs: 100, decode: 110 })]))).toBe('lease a');
  });

  it('[W1] minds those before whom it would go, not its own wait alone', () => {
    const slow = tab('slow', { decode: 10, prefill: 100 });
    const fast = tab('fast', { load: 1, busyForMs: 3_000 });
    const lines = (behind: number) => (name: string) =>
      name === 'fast' ? { beforeMs: 0, behind } : { beforeMs: 0, behind: 0 };
    const ask = (behind: number) => tabOf(chooseTab([slow, fast], anyTab, chat, () => 0, lines(behind)));
    expect([ask(0), ask(2), ask(20)]).toEqual(['wait fast', 'wait fast', 'lease slow']);
  });

  it('takes no free tab for which somebody else waits while another is as good', () => {
    const lineOn = (name: string) => ({ beforeMs: 0, behind: name === 'a' ? 1 : 0 });
    expect(tabOf(chooseTab([tab('a'), tab('b')], anyTab, chat, () => 0, lineOn))).toBe('lease b');
  });

  it('does not wait for one of lower standing than a tab that is free', () => {
    const proven = tab('proven', { decode: 2, prefill: 20 });
    expect(tabOf(choose([proven, tab('new', { rank: 1, load: 1, busyForMs: 1 })]))).toBe('lease proven');
  });

  it('goes where the conversation is warm, unless that tab is too busy or too slow', () => {
    const warm = { tab: 'warm', tokens: 990 };
    const cold = tab('cold', { prefill: 200, decode: 120 });
    expect(tabOf(choose([cold, tab('warm', { prefill: 200 })], { warm }))).toBe('lease warm');
    expect(tabOf(choose([cold, tab('warm', { prefill: 200 })]))).toBe('lease cold');
    expect(tabOf(choose([cold, tab('warm', { prefill: 200, load: 1, busyForMs: 2_000 })], { warm }))).toBe('wait warm');
    expect(tabOf(choose([cold, tab('warm', { prefill: 200, load: 1 })], { warm }))).toBe('lease cold');
    expect(tabOf(choose([cold, tab('warm', { decode: 1 })], { warm }))).toBe('lease cold');
  });

  it('takes the tab that the client has a link to, while it is free and not under suspicion', () => {
    const fast = tab('fast', { decode: 500 });
    const linked = { prefer: 'linked' };
    expect(tabOf(choose([fast, tab('linked', { decode: 20 })], linked))).toBe('lease linked');
    expect(tabOf(choose([fast, tab('linked', { load: 1 })], linked))).toBe('lease fast');
    expect(tabOf(choose([fast, tab('linked', { rank: 1 })], linked))).toBe('lease linked');
    expect(tabOf(choose([fast, tab('linked', { rank: 2 })], linked))).toBe('lease fast');
    expect(tabOf(choose([tab('a', { rank: 2 }), tab('linked', { rank: 2 })], linked))).toBe('lease linked');
  });

  it('asks a tab that missed a deadline only when there is no other, and rather waits', () => {
    const resting = tab('resting', { decode: 1e6, isResting: true });
    expect(tabOf(choose([resting, tab('a')]))).toBe('lease a');
    expect(tabOf(choose([resting, tab('a', { load: 1 })]))).toBe('wait a');
    expect(tabOf(choose([resting]))).toBe('lease resting');
  });

  it('asks those with the better record first, however fast the others are', () => {
    const tabs = [tab('new', { rank: 1, decode: 900 }), tab('proven', { decode: 1 })];
    expect(tabOf(choose(tabs, {}, 0.9))).toBe('lease proven');
    expect(tabOf(choose([tab('new', { rank: 1 }), tab('proven', { load: 1 })]))).toBe('lease new');
  });

  it('keeps to those that are allowed, and to one alone when it alone is meant', () => {
    const tabs = [tab('a', { decode: 900 }), tab('b'), tab('c', { decode: 50 })];
    expect(tabOf(choose(tabs, { block: ['a'] }))).toBe('lease b');
    expect(tabOf(choose(tabs, { allow: ['c'] }))).toBe('lease c');
    expect(tabOf(choose(tabs, { only: 'c' }))).toBe('lease c');
    expect(choose(tabs, { allow: ['nobody'] })).toEqual({ do: 'refuse' });
  });

  it('says whom it thought of, and why each lost', () => {
    const choice = choose([
      tab('a'),
      tab('twin'),
      tab('slow', { decode: 10 }),
      tab('new', { rank: 1 }),
      tab('late', { isResting: true }),
      tab('busy', { load: 1 }),
    ]);
    const said = choice.do === 'lease' ? choice.considered.map(({ tab: name, outcome }) => [name, outcome]) : [];
    expect(said).toEqual([
      ['a', 'chosen'],
      ['twin', 'as_good'],
      ['new', 'lower_standing'],
      ['late', 'missed_deadline'],
      ['slow', 'slower'],
      ['busy', 'busy'],
    ]);
  });

  it('compares some of very many, and the one that holds the conversation always', () => {
    const many = Array.from({ length: 10 * MOST_COMPARED }, (_, i) => tab(`t${i}`));
    const random = draws();
    const warm = { tab: 't7', tokens: 1_000 };
    for (let i = 0; i < 20; i++) {
      expect(tabOf(chooseTab(many, { ...anyTab, warm }, chat, random))).toBe('lease t7');
    }
  });

  it('finds the one fast tab among very many', () => {
    const many = Array.from({ length: 10 * MOST_COMPARED }, (_, i) => tab(`t${i}`, { decode: 10, prefill: 100 }));
    expect(tabOf(chooseTab([...many, tab('fast')], anyTab, chat, draws()))).toBe('lease fast');
  });

  it('never gives a busy, foreign or blocked tab, and gives one whenever an allowed one is free and none is busy', () => {
    const any = fc.record({
      tab: fc.constantFrom('a', 'b', 'c', 'd'),
      class: fc.constantFrom('c', 'd'),
      load: fc.nat({ max: 2 }),
      busyForMs: fc.nat({ max: 100_000 }),
      rank: fc.nat({ max: 2 }),
      isResting: fc.boolean(),
      speeds: fc.record({
        prefill: fc.double({ min: 0.1, max: 1e5, noNaN: true }),
        decode: fc.double({ min: 0.1, max: 1e4, noNaN: true }),
        roundTripMs: fc.nat({ max: 1_000 }),
        reliability: fc.double({ min: 0, max: 1, noNaN: true }),
        isMeasured: fc.boolean(),
      }),
    });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 6 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (tabs, draw) => {
        const able = tabs.filter((t) => t.class === 'c' && t.tab !== 'd');
        const choice = choose(tabs, { prefer: 'b', block: ['d'] }, draw);
        if (choice.do === 'lease') expect(able.some((t) => t.tab === choice.tab && t.load === 0)).toBe(true);
        else if (choice.do === 'wait') expect(able.some((t) => t.load > 0)).toBe(true);
        else expect(able).toEqual([]);
      }),
    );
  });
});
