import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../shared/errors.ts';
import {
  countParts,
  EMPTY_SCHEDULE,
  LEAST_HEDGES,
  LEAST_STRAGGLER_MS,
  MAX_PART_FAILURES,
  MAX_PARTS_AT_ONCE,
  MOST_SPARE_PARTS,
  type PartAsk,
  type PartDecision,
  type PartEvent,
  type PartSchedule,
  stepParts,
} from './part-schedule.ts';

/** Drives a schedule, and keeps what it decided. */
class Driven {
  schedule: PartSchedule = EMPTY_SCHEDULE;
  now = 0;
  readonly open = new Map<number, PartAsk & { tab: string | null }>();
  readonly ends = new Map<number, string[]>();
  readonly asked: PartAsk[] = [];

  tell(event: PartEvent): readonly PartDecision[] {
    if ('attempt' in event && event.t !== 'waiting' && event.t !== 'leased') this.open.delete(event.attempt);
    if (event.t === 'untaken') for (const attempt of event.attempts) this.open.delete(attempt);
    const { schedule, decisions } = stepParts(this.schedule, event, this.now);
    this.schedule = schedule;
    for (const decision of decisions) {
      if (decision.do === 'ask') {
        for (const ask of decision.asks) {
          this.open.set(ask.attempt, { ...ask, tab: null });
          this.asked.push(ask);
        }
      } else if (decision.do === 'stop') this.open.delete(decision.attempt);
      else this.ends.set(decision.part, [...(this.ends.get(decision.part) ?? []), decision.do]);
    }
    return decisions;
  }

  add(count: number, group: string | null = null): readonly PartDecision[] {
    const from = countParts(this.schedule).of;
    return this.tell({ t: 'added', parts: Array.from({ length: count }, (_, at) => ({ id: from + at, group })) });
  }

  lease(attempt: number, tab: string): readonly PartDecision[] {
    return this.tell({ t: 'leased', attempt, tab });
  }
}

describe('the parts of a request', () => {
  it('are all asked for in one call, as many as may be at once', () => {
    const driven = new Driven();
    const [only, ...more] = driven.add(MAX_PARTS_AT_ONCE + 10);
    expect(more).toEqual([]);
    expect(only).toEqual({
      do: 'ask',
      asks: Array.from({ length: MAX_PARTS_AT_ONCE }, (_, at) => ({ attempt: at + 1, part: at, avoid: [] })),
    });
  });

  it('do not fill the line of the pool once it has no tab free', () => {
    const driven = new Driven();
    driven.add(20);
    driven.lease(1, 'a');
    driven.tell({ t: 'waiting', attempt: 2 });
    driven.tell({ t: 'waiting', attempt: 3 });
    driven.tell({ t: 'untaken', attempts: Array.from({ length: 17 }, (_, at) => 4 + at) });
    expect(countParts(driven.schedule)).toEqual({
      of: 20,
      held: 17,
      waiting: 2,
      running: 1,
      delivered: 0,
      givenUp: 0,
    });
    expect(driven.tell({ t: 'answered', attempt: 1 })).toEqual([{ do: 'deliver', part: 0, attempt: 1 }]);
    const [ask] = driven.lease(2, 'a');
    expect(ask).toMatchObject({ do: 'ask', asks: [{ part: 3 }] });
  });

  it('that fail are asked for again alone, elsewhere, and are given up after the bound', () => {
    const driven = new Driven();
    driven.add(1);
    for (let failures = 1; failures < MAX_PART_FAILURES; failures++) {
      driven.lease(failures, `tab ${failures}`);
      const tried = Array.from({ length: failures }, (_, at) => `tab ${at + 1}`);
      expect(driven.tell({ t: 'failed', attempt: failures, code: 'tab_lost' })).toEqual([
        { do: 'ask', asks: [{ attempt: failures + 1, part: 0, avoid: tried }] },
      ]);
    }
    driven.lease(MAX_PART_FAILURES, 'last');
    expect(driven.tell({ t: 'failed', attempt: MAX_PART_FAILURES, code: 'engine_failed' })).toEqual([
      { do: 'giveUp', part: 0, code: 'engine_failed' },
    ]);
  });

  it('that cannot succeed anywhere are given up at once', () => {
    const driven = new Driven();
    driven.add(1);
    driven.lease(1, 'a');
    expect(driven.tell({ t: 'failed', attempt: 1, code: 'context_length_exceeded' })).toEqual([
      { do: 'giveUp', part: 0, code: 'context_length_exceeded' },
    ]);
  });

  it('go back to the tab that failed them when it is the only one', () => {
    const driven = new Driven();
    driven.add(1);
    driven.lease(1, 'a');
    driven.tell({ t: 'failed', attempt: 1, code: 'tab_lost' });
    expect(driven.tell({ t: 'failed', attempt: 2, code: 'no_tab' })).toEqual([
      { do: 'ask', asks: [{ attempt: 3, part: 0, avoid: [] }] },
    ]);
  });

  it('that waited in vain are asked for again while another is at work, and else given up', () => {
    const driven = new Driven();
    driven.add(2);
    driven.lease(1, 'a');
    driven.tell({ t: 'waiting', attempt: 2 });
    expect(driven.tell({ t: 'failed', attempt: 2, code: 'overloaded' })).toMatchObject([{ do: 'ask' }]);
    driven.tell({ t: 'failed', attempt: 1, code: 'context_length_exceeded' });
    expect(driven.tell({ t: 'failed', attempt: 3, code: 'overloaded' })).toEqual([
      { do: 'giveUp', part: 1, code: 'overloaded' },
    ]);
  });

  it('that are stragglers are hedged on another tab; the first answer counts, the other is stopped', () => {
    const driven = new Driven();
    driven.add(2);
    driven.lease(1, 'a');
    driven.lease(2, 'slow');
    driven.now = LEAST_STRAGGLER_MS;
    expect(driven.tell({ t: 'answered', attempt: 1 })).toHaveLength(1);
    driven.now = 2 * LEAST_STRAGGLER_MS;
    const hedge = driven.tell({ t: 'looked' });
    expect(hedge).toEqual([{ do: 'ask', asks: [{ attempt: 3, part: 1, avoid: ['slow'] }] }]);
    driven.lease(3, 'a');
    expect(driven.tell({ t: 'answered', attempt: 3 })).toEqual([
      { do: 'deliver', part: 1, attempt: 3 },
      { do: 'stop', attempt: 2 },
    ]);
    expect(driven.tell({ t: 'answered', attempt: 2 })).toEqual([]);
  });

  it('are not hedged by standing in line', () => {
    const driven = new Driven();
    driven.add(3);
    driven.lease(1, 'a');
    driven.lease(2, 'slow');
    driven.tell({ t: 'answered', attempt: 1 });
    driven.now = 10 * LEAST_STRAGGLER_MS;
    driven.lease(3, 'a');
    driven.tell({ t: 'looked' });
    expect(driven.tell({ t: 'waiting', attempt: 4 })).toEqual([{ do: 'stop', attempt: 4 }]);
    expect(driven.tell({ t: 'looked' })).toEqual([]);
    // Until a tab of this request is free.
    expect(driven.tell({ t: 'answered', attempt: 3 })).toEqual([
      { do: 'deliver', part: 2, attempt: 3 },
      { do: 'ask', asks: [{ attempt: 5, part: 1, avoid: ['slow'] }] },
    ]);
  });

  it('of one group never have one tab', () => {
    const driven = new Driven();
    driven.add(2, 'twins');
    driven.lease(1, 'a');
    driven.tell({ t: 'answered', attempt: 1 });
    expect(driven.lease(2, 'a')).toEqual([
      { do: 'stop', attempt: 2 },
      { do: 'ask', asks: [{ attempt: 3, part: 1, avoid: ['a'] }] },
    ]);
    expect(driven.tell({ t: 'failed', attempt: 3, code: 'no_tab' })).toEqual([
      { do: 'giveUp', part: 1, code: 'no_tab' },
    ]);
  });

  it('[P4] are all reached by a stop, wherever they are', () => {
    const driven = new Driven();
    driven.add(MAX_PARTS_AT_ONCE + 1);
    driven.lease(1, 'a');
    driven.tell({ t: 'answered', attempt: 1 });
    driven.lease(2, 'b');
    const decisions = driven.tell({ t: 'stopped' });
    const stopped = decisions.flatMap((decision) => (decision.do === 'stop' ? [decision.attempt] : []));
    expect(stopped).toEqual(Array.from({ length: MAX_PARTS_AT_ONCE }, (_, at) => at + 2));
    expect(driven.add(1)).toEqual([{ do: 'giveUp', part: MAX_PARTS_AT_ONCE + 1, code: 'cancelled' }]);
    expect(driven.open.size).toBe(0);
  });
});

const CODES: readonly ErrorCode[] = [
  'tab_lost',
  'engine_failed',
  'overloaded',
  'no_tab',
  'deadline_exceeded',
  'context_length_exceeded',
];

describe('whatever happens, in whatever order', () => {
  const tabs = ['a', 'b', 'c', 'd'];
  const move = fc.record({
    kind: fc.constantFrom(
      'lease',
      'lease',
      'lease',
      'answer',
      'answer',
      'wait',
      'fail',
      'untake',
      'look',
      'add',
      'stale',
    ),
    pick: fc.nat(1_000),
    tab: fc.constantFrom(...tabs),
    code: fc.constantFrom(...CODES),
    ms: fc.nat(3_000),
    grouped: fc.boolean(),
  });

  it('[P2] [P3] every part ends once, within the bounds, and nothing runs on after its end', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.array(move, { maxLength: 200 }),
        fc.boolean(),
        (n, moves, stops) => {
          const driven = new Driven();
          const leasedFailures = new Map<number, number>();
          driven.add(n);
          const check = () => {
            const attempts = [...driven.open.values()];
            expect(attempts.length).toBeLessThanOrEqual(MAX_PARTS_AT_ONCE);
            for (const part of new Set(attempts.map((attempt) => attempt.part))) {
              const own = attempts.filter((attempt) => attempt.part === part);
              expect(own.length).toBeLessThanOrEqual(2);
              expect(driven.ends.has(part)).toBe(false);
            }
            for (const [, ends] of driven.ends) expect(ends).toHaveLength(1);
          };
          for (const { kind, pick, tab, code, ms, grouped } of moves) {
            driven.now += ms;
            const attempts = [...driven.open.values()];
            const attempt = attempts[pick % Math.max(1, attempts.length)];
            if (kind === 'look') driven.tell({ t: 'looked' });
            else if (kind === 'add' && countParts(driven.schedule).of < 80)
              driven.add(pick % 3, grouped ? 'group' : null);
            else if (kind === 'stale') driven.tell({ t: 'answered', attempt: 10_000 + pick });
            else if (attempt === undefined) driven.tell({ t: 'looked' });
            else if (kind === 'lease' && attempt.tab === null) {
              if (attempt.avoid.includes(tab)) continue; // The pool does not.
              attempt.tab = tab;
              driven.lease(attempt.attempt, tab);
            } else if (kind === 'answer' && attempt.tab !== null)
              driven.tell({ t: 'answered', attempt: attempt.attempt });
            else if (kind === 'wait' && attempt.tab === null) driven.tell({ t: 'waiting', attempt: attempt.attempt });
            else if (kind === 'untake' && attempt.tab === null)
              driven.tell({ t: 'untaken', attempts: [attempt.attempt] });
            else if (kind === 'fail') {
              if (code !== 'overloaded') leasedFailures.set(attempt.part, (leasedFailures.get(attempt.part) ?? 0) + 1);
              driven.tell({ t: 'failed', attempt: attempt.attempt, code });
            }
            check();
          }
          if (stops) driven.tell({ t: 'stopped' });
          // From now on the network is kind: every attempt has a tab of its own and is answered.
          for (let round = 0; round < 2_000 && driven.ends.size < countParts(driven.schedule).of; round++) {
            driven.now += 1_000;
            driven.tell({ t: 'looked' });
            for (const { attempt, tab } of [...driven.open.values()]) {
              if (tab === null) driven.lease(attempt, `fresh ${attempt}`);
              driven.tell({ t: 'answered', attempt });
              check();
            }
          }
          expect(driven.ends.size).toBe(countParts(driven.schedule).of);
          expect(driven.open.size).toBe(0);
          // A part has at most a hedge beside the attempt that spends its last failure.
          for (const failures of leasedFailures.values()) expect(failures).toBeLessThanOrEqual(MAX_PART_FAILURES + 1);
          const { of } = countParts(driven.schedule);
          expect(driven.schedule.hedges).toBeLessThanOrEqual(Math.max(LEAST_HEDGES, Math.ceil(of / 4)));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('[P5] a crowded pool is asked for no more than the line may hold beside what runs', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 12 }), (n, free) => {
        const driven = new Driven();
        driven.add(n);
        // A pool with so many tabs: it leases those, lets some wait, and takes no more.
        let busy = 0;
        const line: number[] = [];
        const serve = () => {
          for (let asked = fresh(); asked.length > 0; asked = fresh()) {
            const untaken: number[] = [];
            let waiting = 0;
            for (const { attempt } of asked) {
              seen.add(attempt);
              if (waiting >= MOST_SPARE_PARTS) untaken.push(attempt);
              else if (busy < free) {
                busy++;
                driven.open.get(attempt)!.tab = `tab ${attempt}`;
                driven.lease(attempt, `tab ${attempt}`);
              } else {
                waiting++;
                line.push(attempt);
                driven.tell({ t: 'waiting', attempt });
              }
            }
            if (untaken.length > 0) driven.tell({ t: 'untaken', attempts: untaken });
          }
        };
        const seen = new Set<number>();
        const fresh = () => [...driven.open.values()].filter(({ attempt }) => !seen.has(attempt));
        serve();
        while (driven.ends.size < n) {
          expect(line.length).toBeLessThanOrEqual(MOST_SPARE_PARTS);
          const done = [...driven.open.values()].find(({ tab }) => tab !== null)!;
          busy--;
          driven.tell({ t: 'answered', attempt: done.attempt });
          const next = line.shift();
          if (next !== undefined) {
            busy++;
            driven.open.get(next)!.tab = `tab ${next}`;
            driven.lease(next, `tab ${next}`);
          }
          serve();
          const left = n - driven.ends.size;
          expect(busy).toBe(Math.min(free, left)); // No tab stands idle while a part waits.
        }
        expect(driven.asked.length).toBeLessThanOrEqual(2 * n + MAX_PARTS_AT_ONCE);
      }),
      { numRuns: 100 },
    );
  });
});
