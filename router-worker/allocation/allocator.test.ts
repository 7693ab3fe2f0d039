import { describe, expect, it } from 'vitest';
import { Allocator, type Leased, type Seat } from './allocator.ts';
import type { Asked } from './asked.ts';

const chat = (part: Partial<Asked> = {}): Asked => ({
  model: 'm',
  classes: ['c'],
  only: null,
  allow: null,
  block: [],
  prefer: null,
  size: { promptBytes: 4_000, maxTokens: 200 },
  account: 'a',
  sla: 'standard',
  conversation: null,
  ...part,
});

/** A pool of a few tabs, under a clock that a test moves. */
class Bench {
  now = 0;
  readonly allocator = new Allocator<string>(
    () => this.now,
    () => 0,
  );
  readonly #busy = new Map<string, number>();
  readonly #tabs: readonly string[];
  #numbers = 0;

  constructor(...tabs: string[]) {
    this.#tabs = tabs;
  }

  readonly seats = (): Seat[] =>
    this.#tabs.map((tab) => ({ tab, class: 'c', load: this.#busy.has(tab) ? 1 : 0, rank: 0, isResting: false }));

  lease(choice: Leased, asked: Asked, mayHedge = false): number {
    const number = ++this.#numbers;
    this.#busy.set(choice.tab, number);
    this.allocator.began(number, { ...choice, asked, mayHedge });
    return number;
  }

  serve(asked: (request: string) => Asked, isTick = false): string[] {
    const did: string[] = [];
    for (const step of this.allocator.steps(this.seats, isTick)) {
      if (step.do === 'lease') this.lease(step.choice, asked(step.request));
      did.push(step.do === 'lease' ? `${step.request} on ${step.choice.tab}` : `${step.request} refused`);
    }
    return did;
  }

  /** The tab works through an answer at these speeds, tokens per second. */
  work(tab: string, asked: Asked, speed: { readonly prefill: number; readonly decode: number }): void {
    const choice = this.allocator.choose(this.seats(), { ...asked, only: tab });
    if (choice.do !== 'lease') throw new Error(`${tab} is not free`);
    const number = this.lease(choice, asked);
    this.allocator.accepted(number, 1_000);
    this.now += 1_000_000 / speed.prefill;
    this.allocator.firstToken(number);
    this.now += 100_000 / speed.decode;
    this.allocator.finished(number, 101, 400);
    this.#busy.delete(tab);
  }

  free(tab: string): void {
    const number = this.#busy.get(tab);
    if (number !== undefined) this.allocator.over(number);
    this.#busy.delete(tab);
  }
}

describe('the allocator', () => {
  it('[W1] sends a request to the tab that it measured to be faster', () => {
    const bench = new Bench('slow', 'fast');
    bench.work('slow', chat(), { prefill: 50, decode: 5 });
    bench.work('fast', chat(), { prefill: 500, decode: 50 });
    bench.allocator.join('r', chat());
    expect(bench.serve(() => chat())).toEqual(['r on fast']);
  });

  it('[W1] believes no count of tokens that the bytes do not hold', () => {
    const bench = new Bench('honest', 'liar');
    bench.work('honest', chat(), { prefill: 500, decode: 50 });
    const choice = bench.allocator.choose(bench.seats(), chat({ only: 'liar' }));
    if (choice.do !== 'lease') throw new Error('the liar is free');
    const number = bench.lease(choice, chat());
    bench.allocator.accepted(number, 1_000_000);
    bench.now += 20_000;
    bench.allocator.firstToken(number);
    bench.now += 20_000;
    bench.allocator.finished(number, 1_000_000, 400);
    bench.free('liar');
    bench.allocator.join('r', chat());
    expect(bench.serve(() => chat())).toEqual(['r on honest']);
  });

  it('keeps a request for a fast tab that is nearly through, and gives it to another when that does not come to its end', () => {
    const bench = new Bench('slow', 'fast');
    bench.work('slow', chat(), { prefill: 100, decode: 10 });
    bench.work('fast', chat(), { prefill: 2_000, decode: 100 });
    bench.allocator.join('first', chat());
    expect(bench.serve(() => chat())).toEqual(['first on fast']);
    bench.now += 1_000;
    bench.allocator.join('second', chat());
    expect(bench.serve(() => chat())).toEqual([]);
    expect(bench.allocator.turnOf('second')).toMatchObject({ ahead: 0 });
    bench.now += 120_000;
    expect(bench.serve(() => chat(), true)).toEqual(['second on slow']);
  });

  it('[W1] leaves a tab that becomes free to those who wait for it', () => {
    const bench = new Bench('a', 'b');
    for (const name of ['a', 'b']) bench.work(name, chat(), { prefill: 500, decode: 50 });
    bench.allocator.join('running', chat());
    bench.serve(() => chat());
    bench.now += 1_000;
    bench.allocator.join('running later', chat());
    bench.serve(() => chat());
    bench.allocator.join('waits for a', chat());
    bench.allocator.join('waits for b', chat());
    expect(bench.serve(() => chat())).toEqual([]);
    bench.free('b');
    expect(bench.serve(() => chat())).toEqual(['waits for b on b']);
    bench.free('a');
    expect(bench.serve(() => chat())).toEqual(['waits for a on a']);
  });

  it('[W1] sends the next turn of a conversation where the last one was, as long as not too much else was there', () => {
    const bench = new Bench('a', 'b');
    const turn = chat({ conversation: 'talk' });
    bench.work('a', turn, { prefill: 100, decode: 50 });
    bench.work('b', chat(), { prefill: 110, decode: 55 });
    bench.allocator.join('second turn', turn);
    expect(bench.serve(() => turn)).toEqual(['second turn on a']);
    bench.free('a');
    for (const other of ['one', 'two', 'three', 'four']) {
      bench.work('a', chat({ conversation: other }), { prefill: 100, decode: 50 });
    }
    bench.allocator.join('third turn', turn);
    expect(bench.serve(() => turn)).toEqual(['third turn on b']);
  });

  it('[W2] has the last of the account that has most give way where the line is full', () => {
    const bench = new Bench('a');
    bench.allocator.join('running', chat());
    bench.serve(() => chat());
    for (const name of ['f1', 'f2', 'f3']) bench.allocator.join(name, chat({ account: 'flood' }));
    bench.allocator.join('other', chat({ account: 'other' }));
    expect(bench.allocator.overflow(3, 'other')).toBe('f3');
    expect(bench.allocator.overflow(3, 'other')).toBeNull();
    bench.allocator.join('f4', chat({ account: 'flood' }));
    expect(bench.allocator.overflow(3, 'f4')).toBe('f4');
  });

  it('[W3] expects of a request that came now what it would tell one that waits, and knows when it does not know', () => {
    const bench = new Bench('a');
    const wait = () => bench.allocator.waitOf(bench.seats(), chat());
    expect(wait()).toBe(0);
    bench.allocator.join('first', chat());
    bench.serve(() => chat());
    expect(wait()).toBeNull(); // Nobody has seen how fast it is.
    bench.free('a');
    bench.work('a', chat(), { prefill: 100, decode: 50 });
    expect(wait()).toBe(0);
    bench.allocator.join('second', chat());
    bench.serve(() => chat());
    const alone = wait() ?? Number.NaN;
    expect(alone).toBeGreaterThan(0);
    bench.allocator.join('third', chat());
    bench.serve(() => chat());
    expect(wait()).toBeGreaterThan(alone);
    expect(bench.allocator.waitOf(bench.seats(), chat({ classes: ['another'] }))).toBeNull();
  });

  it('[T5] refuses whom nobody serves any more', () => {
    const bench = new Bench('a');
    bench.allocator.join('running', chat());
    bench.serve(() => chat());
    bench.allocator.join('waits', chat({ allow: ['b'] }));
    bench.allocator.join('foreign', chat({ classes: ['d'] }));
    expect(bench.serve(() => chat())).toEqual(['waits refused', 'foreign refused']);
    expect(bench.allocator.length).toBe(0);
  });

  it('takes out those that have waited too long for their class', () => {
    const bench = new Bench('a');
    bench.allocator.join('running', chat());
    bench.serve(() => chat());
    bench.allocator.join('standard', chat());
    bench.allocator.join('batch', chat({ sla: 'batch' }));
    bench.now += 40_000;
    expect(bench.allocator.expired({ fast: 30_000, standard: 30_000, batch: 600_000 })).toEqual(['standard']);
    expect(bench.allocator.has('batch')).toBe(true);
  });

  it('asks a second tab when a first token is late, once, and not while somebody waits', () => {
    const bench = new Bench('a', 'b');
    bench.work('a', chat(), { prefill: 1_000, decode: 50 });
    bench.work('b', chat(), { prefill: 900, decode: 45 });
    const choice = bench.allocator.choose(bench.seats(), chat({ only: 'a' }));
    if (choice.do !== 'lease') throw new Error('a is free');
    const number = bench.lease(choice, chat(), true);
    bench.now += 1_500;
    expect(bench.allocator.hedges(bench.seats)).toEqual([]);
    bench.now += 10_000;
    expect(bench.allocator.hedges(bench.seats)).toMatchObject([{ number, choice: { tab: 'b' } }]);
    expect(bench.allocator.hedges(bench.seats)).toEqual([]);
  });
});
