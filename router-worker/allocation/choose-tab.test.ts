import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Candidate, chooseTab } from './choose-tab.ts';

const tab = (name: string, part: Partial<Candidate> = {}): Candidate => ({
  tab: name,
  class: 'c',
  load: 0,
  decodeSpeed: 100,
  rank: 0,
  isResting: false,
  ...part,
});
const wanted = { classes: ['c'], prefer: null, only: null };

describe('choosing a tab', () => {
  it('says why there is none', () => {
    expect(chooseTab([], wanted, 0)).toEqual({ tab: null, why: 'nobody_serves' });
    expect(chooseTab([tab('a', { class: 'd' })], wanted, 0)).toEqual({ tab: null, why: 'nobody_serves' });
    expect(chooseTab([tab('a', { load: 1 })], wanted, 0)).toEqual({ tab: null, why: 'all_busy' });
  });

  it('takes the fastest free one, and shares among those that are about as fast', () => {
    const tabs = [
      tab('slow', { decodeSpeed: 10 }),
      tab('a'),
      tab('b', { decodeSpeed: 90 }),
      tab('busy', { decodeSpeed: 900, load: 1 }),
    ];
    expect([0, 0.4, 0.6, 0.99].map((draw) => chooseTab(tabs, wanted, draw).tab)).toEqual(['a', 'a', 'b', 'b']);
  });

  it('takes the tab that the client has a link to, while it is free', () => {
    const tabs = [tab('fast', { decodeSpeed: 500 }), tab('linked', { decodeSpeed: 20 })];
    expect(chooseTab(tabs, { ...wanted, prefer: 'linked', only: null }, 0).tab).toBe('linked');
    expect(chooseTab([tabs[0]!, tab('linked', { load: 1 })], { ...wanted, prefer: 'linked', only: null }, 0).tab).toBe(
      'fast',
    );
  });

  it('tries a tab of unknown speed when it is the only one', () => {
    expect(chooseTab([tab('new', { decodeSpeed: null })], wanted, 0.5)).toEqual({ tab: 'new', class: 'c' });
  });

  it('asks a tab that missed a deadline only when there is no other, and rather waits', () => {
    const resting = tab('resting', { decodeSpeed: 1e6, isResting: true });
    expect(chooseTab([resting, tab('a')], wanted, 0)).toMatchObject({ tab: 'a' });
    expect(chooseTab([resting, tab('a', { load: 1 })], wanted, 0)).toEqual({ tab: null, why: 'all_busy' });
    expect(chooseTab([resting], wanted, 0)).toMatchObject({ tab: 'resting' });
  });

  it('asks those with the better record first, however fast the others are', () => {
    const tabs = [tab('new', { rank: 1, decodeSpeed: 900 }), tab('proven', { decodeSpeed: 1 })];
    expect(chooseTab(tabs, wanted, 0.9)).toEqual({ tab: 'proven', class: 'c' });
    expect(chooseTab([tab('new', { rank: 1 }), tab('proven', { load: 1 })], wanted, 0)).toEqual({
      tab: 'new',
      class: 'c',
    });
  });

  it('keeps to the link that a client has, unless that tab is under suspicion and others are not', () => {
    const linked = { ...wanted, prefer: 'linked' };
    expect(chooseTab([tab('a'), tab('linked', { rank: 1 })], linked, 0)).toMatchObject({ tab: 'linked' });
    expect(chooseTab([tab('a'), tab('linked', { rank: 2 })], linked, 0)).toMatchObject({ tab: 'a' });
    expect(chooseTab([tab('a', { rank: 2 }), tab('linked', { rank: 2 })], linked, 0)).toMatchObject({ tab: 'linked' });
  });

  it('gives nobody else when one tab alone is meant', () => {
    expect(chooseTab([tab('a'), tab('b')], { ...wanted, only: 'b' }, 0)).toEqual({ tab: 'b', class: 'c' });
    expect(chooseTab([tab('a'), tab('b', { load: 1 })], { ...wanted, only: 'b' }, 0)).toEqual({
      tab: null,
      why: 'all_busy',
    });
  });

  it('never gives a busy or foreign tab', () => {
    const any = fc.record({
      tab: fc.constantFrom('a', 'b', 'c', 'd'),
      class: fc.constantFrom('c', 'd'),
      load: fc.nat({ max: 2 }),
      decodeSpeed: fc.option(fc.double({ min: 0.1, max: 1e4, noNaN: true })),
      rank: fc.nat({ max: 2 }),
      isResting: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 6 }), fc.double({ min: 0, max: 1, noNaN: true }), (tabs, draw) => {
        const choice = chooseTab(tabs, { classes: ['c'], prefer: 'b', only: null }, draw);
        if (choice.tab === null) return;
        expect(tabs.some((t) => t.tab === choice.tab && t.class === 'c' && t.load === 0)).toBe(true);
      }),
    );
  });
});
