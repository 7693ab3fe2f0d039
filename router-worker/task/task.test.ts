import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Lease } from '../../shared/protocol/lease.ts';
import type { AnswerCommit, CheckReveal } from '../../shared/receipt/statements.ts';
import { openTask, stepTask, type Task, type TaskEvent, type TaskTerms } from './task.ts';

const statement = { payload: '{}', key: 'K', signature: 'S' };
const lease = { tab: 'tab-a', task: 't', class: 'c' } as Lease;
const checkLease = { ...lease, tab: 'tab-b' } as Lease;
const terms: TaskTerms = {
  task: 't',
  network: 'http://localhost',
  model: 'm',
  variant: 'q8_0',
  private: false,
  level: 'cross',
  sampling: {
    temperature: 0,
    topP: 1,
    topK: 0,
    minP: 0,
    frequencyPenalty: 0,
    presencePenalty: 0,
    seed: 0,
    maxTokens: 1,
  },
  openedAt: 1_000,
  readablePromptBytes: 1,
  leaseStatement: statement,
  lease,
};
const chain = { blocks: ['x'], head: 'h', bytes: 70 };
const commit = { chain, finish: 'stop' } as AnswerCommit;
const reveal = { chain, shown: null, embedding: null } as unknown as CheckReveal;
const check = { checker: 'tab-b', independence: 'key' as const, leaseStatement: statement, lease: checkLease };

const events = (at: number): TaskEvent[] => [
  {
    type: 'committed',
    at,
    statement,
    commit,
    candidates: [{ tab: 'tab-b', independence: 'key' }],
    stopped: true,
    draw: 0.5,
  },
  {
    type: 'committed',
    at,
    statement,
    commit: { ...commit, finish: 'cancelled' },
    candidates: [],
    stopped: true,
    draw: 0.5,
  },
  { type: 'check_leased', at, check },
  { type: 'check_leased', at, check: { ...check, checker: 'tab-x' } },
  { type: 'handed_on', at },
  { type: 'check_committed', at, checker: 'tab-b', statement, commitment: 'c', evidenceKey: 'e', handedOn: null },
  { type: 'check_committed', at, checker: 'tab-x', statement, commitment: 'c', evidenceKey: 'e', handedOn: null },
  { type: 'check_revealed', at, checker: 'tab-b', statement, reveal, opens: true },
  {
    type: 'check_revealed',
    at,
    checker: 'tab-b',
    statement,
    reveal: { ...reveal, chain: { ...chain, blocks: ['y'] } },
    opens: true,
  },
  { type: 'check_revealed', at, checker: 'tab-b', statement, reveal, opens: false },
  { type: 'check_revealed', at, checker: 'tab-x', statement, reveal, opens: true },
  { type: 'check_failed', at, checker: 'tab-b', reason: 'checker_lost' },
  { type: 'check_failed', at, checker: 'tab-x', reason: 'checker_lost' },
  { type: 'failed', at, code: 'tab_lost' },
  { type: 'clock', at },
];

/** A script of events at rising instants, as indexes into {@link events}. */
const script = fc.array(fc.record({ which: fc.nat({ max: events(0).length - 1 }), after: fc.nat({ max: 400_000 }) }), {
  maxLength: 30,
});

function play(steps: readonly { which: number; after: number }[]): { task: Task; at: number; seen: Task[] } {
  let task = openTask(terms);
  let at = terms.openedAt;
  const seen = [task];
  for (const { which, after } of steps) {
    at += after;
    task = stepTask(task, events(at)[which]!);
    seen.push(task);
  }
  return { task, at, seen };
}

describe('the life of a task', () => {
  it('goes from running to valid by the book', () => {
    let task = openTask(terms);
    const phases = [task.phase];
    for (const which of [0, 2, 4, 5, 7]) {
      task = stepTask(task, events(2_000)[which]!);
      phases.push(task.phase);
    }
    expect(phases).toEqual(['running', 'drawing', 'checking', 'checking', 'revealing', 'ended']);
    expect(task).toMatchObject({ verdict: { value: 'valid', blocks: 2 }, checks: [{ checker: 'tab-b' }] });
  });

  it('[T1] ends, whatever happens: no later than its deadlines', () => {
    fc.assert(
      fc.property(script, (steps) => {
        let { task } = play(steps);
        for (let i = 0; i < 6 && task.phase !== 'ended'; i++)
          task = stepTask(task, { type: 'clock', at: task.deadlineAt });
        expect(task.phase).toBe('ended');
      }),
    );
  });

  it('[T2] stays as it is once it has ended, and whenever an event does not apply', () => {
    fc.assert(
      fc.property(script, fc.nat({ max: events(0).length - 1 }), (steps, which) => {
        const { task, at } = play(steps);
        const after = stepTask(task, events(at + 1)[which]!);
        if (task.phase === 'ended') expect(after).toBe(task);
        const again = stepTask(after, events(at + 1)[which]!);
        if (which !== 14) expect(again).toBe(after);
      }),
    );
  });

  it('[K7] is valid only by a reveal that opens, of the drawn checker, with an equal chain', () => {
    fc.assert(
      fc.property(script, (steps) => {
        const { task, seen } = play(steps);
        if (task.phase !== 'ended' || task.verdict.value !== 'valid') return;
        const before = seen.findLast((state) => state.phase !== 'ended');
        expect(before?.phase).toBe('revealing');
        const last = steps[seen.findIndex((state) => state.phase === 'ended') - 1];
        expect(last?.which).toBe(7);
      }),
      { numRuns: 300 },
    );
  });

  it('[K1] never draws the tab that answered', () => {
    const own = {
      type: 'committed' as const,
      at: 1,
      statement,
      commit,
      candidates: [{ tab: 'tab-a', independence: 'key' as const }],
      stopped: false,
      draw: 0,
    };
    expect(stepTask(openTask(terms), own)).toMatchObject({
      phase: 'ended',
      verdict: { value: 'unchecked', reason: 'nobody_fit' },
    });
  });

  it('[K10] has failed when its tab stops by itself, and is cancelled when its client stopped it', () => {
    const stops = (stopped: boolean) =>
      stepTask(openTask(terms), {
        type: 'committed',
        at: 1,
        statement,
        commit: { ...commit, finish: 'cancelled' },
        candidates: [{ tab: 'tab-b', independence: 'key' }],
        stopped,
        draw: 0,
      });
    expect(stops(false)).toMatchObject({ phase: 'ended', outcome: { value: 'failed', code: 'tab_lost' } });
    expect(stops(true)).toMatchObject({ phase: 'ended', outcome: { value: 'cancelled' } });
  });

  it('draws only among the most independent', () => {
    const candidates = [
      { tab: 'far-1', independence: 'network' as const },
      { tab: 'far-2', independence: 'network' as const },
      { tab: 'near', independence: 'key' as const },
    ];
    const drawn = [0, 0.49, 0.5, 0.999].map((draw) => {
      const task = stepTask(openTask(terms), {
        type: 'committed',
        at: 1,
        statement,
        commit,
        candidates,
        stopped: false,
        draw,
      });
      return task.phase === 'drawing' ? task.drawn : null;
    });
    expect(drawn).toEqual(['far-1', 'far-1', 'far-2', 'far-2']);
  });
});
