import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DrawCandidate } from '../../shared/checking/draw.ts';
import { CHECK_DEADLINE_MS, MAX_DRAWS, WRAP_DEADLINE_MS } from '../../shared/limits.ts';
import type { Lease } from '../../shared/protocol/lease.ts';
import type { AnswerCommit, CheckReveal } from '../../shared/receipt/statements.ts';
import { openTask, stepTask, type Task, type TaskEvent, type TaskTerms } from './task.ts';

const statement = { payload: '{}', key: 'K', signature: 'S' };
const lease = { tab: 'tab-a', task: 't', class: 'c', attempt: 1 } as Lease;
const terms: TaskTerms = {
  task: 't',
  network: 'http://localhost',
  model: 'm',
  variant: 'q8_0',
  private: false,
  level: 'cross',
  wanted: 1,
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
  standing: 'new',
};
const chain = { blocks: ['x'], head: 'h', bytes: 70 };
const commit = { chain, finish: 'stop', tokens: { prompt: 1, completion: 1 } } as AnswerCommit;
const revealOf = (head: string): CheckReveal =>
  ({
    form: 'written',
    chain: head === 'h' ? chain : { ...chain, blocks: [head], head },
    tokens: { prompt: 1, completion: 1 },
    shown: null,
    embedding: null,
  }) as unknown as CheckReveal;

const TABS = ['tab-b', 'tab-c', 'tab-d'] as const;
const order: DrawCandidate[] = TABS.map((tab) => ({ tab, independence: 'key' }));

function committed(at: number, part: Partial<Extract<TaskEvent, { type: 'committed' }>> = {}): TaskEvent {
  return { type: 'committed', at, statement, commit, order, secret: 's', stopped: false, sampled: true, ...part };
}

/** What a checker may do, well or badly. */
const ofChecker = (at: number, checker: string): TaskEvent[] => [
  { type: 'check_leased', at, checker, leaseStatement: statement, lease: { ...lease, tab: checker, rung: 'exact' } },
  { type: 'check_committed', at, checker, statement, commitment: 'c', evidenceKey: 'e', handedOn: null },
  { type: 'check_revealed', at, checker, statement, reveal: revealOf('h'), opens: true },
  { type: 'check_revealed', at, checker, statement, reveal: revealOf('y'), opens: true },
  { type: 'check_revealed', at, checker, statement, reveal: revealOf(checker), opens: true },
  { type: 'check_revealed', at, checker, statement, reveal: revealOf('h'), opens: false },
  { type: 'check_failed', at, checker, reason: 'checker_lost', isBlameless: false },
];

const events = (at: number): TaskEvent[] => [
  committed(at),
  committed(at, { commit: { ...commit, finish: 'cancelled' }, stopped: true }),
  { type: 'handed_on', at },
  { type: 'failed', at, code: 'tab_lost', attempt: 1 },
  { type: 'clock', at },
  ...[...TABS, 'tab-x'].flatMap((tab) => ofChecker(at, tab)),
];

const step = (which: fc.Arbitrary<number>) =>
  fc.record({
    which,
    after: fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 500 }) }, { weight: 1, arbitrary: fc.nat({ max: 400_000 }) }),
  });
const noise = step(fc.nat({ max: events(0).length - 1 }));
/** What a checker does in its turn, as indexes into {@link events}: it is leased, handed the work, commits, and ends in one of five ways. */
const turn = (place: number) =>
  fc
    .integer({ min: 2, max: 6 })
    .chain((ending) =>
      fc.tuple(...[0, null, 1, ending].map((at) => step(fc.constant(at === null ? 2 : 5 + 7 * place + at)))),
    );
/** A script of events at rising instants: pure noise, or turns with some noise between. */
const script = fc.oneof(
  fc.array(noise, { maxLength: 40 }),
  fc
    .tuple(
      step(fc.constant(0)),
      turn(0),
      fc.array(noise, { maxLength: 2 }),
      turn(1),
      fc.array(noise, { maxLength: 2 }),
      turn(2),
    )
    .map(([first, ...rest]) => [first, ...rest.flat()]),
);

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

/** A whole check by this tab, which wrote the answer with this head. */
function checkedBy(task: Task, checker: string, head: string, opens = true): Task {
  const at = 2_000;
  let next = task;
  for (const event of [
    ofChecker(at, checker)[0]!,
    { type: 'handed_on', at } as const,
    ofChecker(at, checker)[1]!,
    { type: 'check_revealed', at, checker, statement, reveal: revealOf(head), opens } as const,
  ]) {
    next = stepTask(next, event);
  }
  return next;
}

const drawnTab = (task: Task) => (task.phase === 'drawing' ? task.draw.order[task.draw.drawn - 1]?.tab : null);
const opened = (part: Partial<TaskTerms> = {}) => stepTask(openTask({ ...terms, ...part }), committed(1_500));

describe('the life of a task', () => {
  it('goes from running to valid by the book', () => {
    const start = openTask(terms);
    const steps = [
      committed(2_000),
      ofChecker(2_000, 'tab-b')[0]!,
      { type: 'handed_on', at: 2_000 } as const,
      ofChecker(2_000, 'tab-b')[1]!,
      ofChecker(2_000, 'tab-b')[2]!,
    ];
    const seen = [start];
    for (const step of steps) seen.push(stepTask(seen.at(-1)!, step));
    expect(seen.map(({ phase }) => phase)).toEqual([
      'running',
      'drawing',
      'checking',
      'checking',
      'revealing',
      'ended',
    ]);
    expect(seen.at(-1)).toMatchObject({
      verdict: { value: 'valid', blocks: 2, agree: 1, differ: 0 },
      checks: [{ checker: 'tab-b' }],
      draw: { drawn: 1 },
    });
  });

  it('[T1] ends, whatever happens: no later than its deadlines', () => {
    fc.assert(
      fc.property(script, (steps) => {
        let { task } = play(steps);
        for (let i = 0; i < 1 + 2 * MAX_DRAWS && task.phase !== 'ended'; i++)
          task = stepTask(task, { type: 'clock', at: task.deadlineAt });
        expect(task.phase).toBe('ended');
      }),
    );
  });

  it('[T2] stays as it is once it has ended, and whenever an event does not apply', () => {
    fc.assert(
      fc.property(script, fc.nat({ max: events(0).length - 1 }), (steps, which) => {
        const { task, at } = play(steps);
        const event = events(at + 1)[which]!;
        const after = stepTask(task, event);
        if (task.phase === 'ended') expect(after).toBe(task);
        if (event.type !== 'clock') expect(stepTask(after, event)).toBe(after);
      }),
    );
  });

  it('[K7] has a verdict only by reveals that open, of tabs that were drawn in their turn, each once', () => {
    let judged = 0;
    fc.assert(
      fc.property(script, (steps) => {
        const { task, seen } = play(steps);
        if (task.phase !== 'ended' || task.verdict.value === 'unchecked') return;
        judged++;
        const { agree, differ } = task.verdict;
        expect(seen.findLast((state) => state.phase !== 'ended')?.phase).not.toBe('running');
        const complete = task.checks.filter(({ finding }) => finding !== null);
        expect(complete.length).toBe(agree + differ);
        expect(complete.every(({ reveal, commit: own }) => reveal !== null && own !== null)).toBe(true);
        const checkers = task.checks.map(({ checker }) => checker);
        expect(checkers).toEqual(
          order.map(({ tab }) => tab).filter((tab) => checkers.includes(tab as (typeof TABS)[number])),
        );
        expect(task.draw?.drawn).toBeLessThanOrEqual(MAX_DRAWS);
      }),
      { numRuns: 2_000 },
    );
    expect(judged).toBeGreaterThan(10);
  });

  it('[K1] never draws the tab that answered', () => {
    const own = committed(1, { order: [{ tab: 'tab-a', independence: 'key' }] });
    expect(stepTask(openTask(terms), own)).toMatchObject({
      phase: 'ended',
      verdict: { value: 'unchecked', reason: 'nobody_fit' },
    });
  });

  it('[W4] [T2] goes on with another tab in place of one that was lost, and hears the first no more', () => {
    const second = { ...terms, openedAt: 9, lease: { ...lease, tab: 'tab-b', attempt: 2 }, earlier: ['tab-a'] };
    const again = stepTask(openTask(terms), { type: 'leased_again', at: 9, terms: second });
    expect(again).toMatchObject({
      phase: 'running',
      openedAt: terms.openedAt,
      lease: second.lease,
      earlier: ['tab-a'],
    });
    expect(stepTask(again, { type: 'leased_again', at: 10, terms })).toBe(again);
    expect(stepTask(again, { type: 'failed', at: 10, code: 'tab_lost', attempt: 1 })).toBe(again);
    expect(stepTask(again, { type: 'failed', at: 10, code: 'tab_lost', attempt: 2 }).phase).toBe('ended');
    const over = stepTask(openTask(terms), { type: 'failed', at: 2, code: 'tab_lost', attempt: 1 });
    expect(stepTask(over, { type: 'leased_again', at: 9, terms: second })).toBe(over);
  });

  it('[K10] has failed when its tab stops by itself, and is cancelled when its client stopped it', () => {
    const stops = (stopped: boolean) =>
      stepTask(openTask(terms), committed(1, { commit: { ...commit, finish: 'cancelled' }, stopped }));
    expect(stops(false)).toMatchObject({ phase: 'ended', outcome: { value: 'failed', code: 'tab_lost' } });
    expect(stops(true)).toMatchObject({ phase: 'ended', outcome: { value: 'cancelled' } });
  });
});

describe('the levels', () => {
  it.each([
    ['none', true, 'not_asked'],
    ['basic', false, 'not_sampled'],
  ] as const)('%s ends without a check: %s', (level, sampled, reason) => {
    const task = stepTask(openTask({ ...terms, level }), committed(1, { sampled }));
    expect(task).toMatchObject({
      phase: 'ended',
      outcome: { value: 'answered' },
      verdict: { value: 'unchecked', reason },
    });
  });

  it.each([
    ['basic', true],
    ['cross', false],
    ['strict', false],
  ] as const)('%s draws a checker', (level, sampled) => {
    expect(drawnTab(stepTask(openTask({ ...terms, level }), committed(1, { sampled })))).toBe('tab-b');
  });
});

describe('a round', () => {
  it('[K11] draws further executions when two differ, until the answer leads by two', () => {
    const undecided = checkedBy(opened(), 'tab-b', 'y');
    expect(drawnTab(undecided)).toBe('tab-c');
    const ahead = checkedBy(undecided, 'tab-c', 'h');
    expect(drawnTab(ahead)).toBe('tab-d');
    expect(checkedBy(ahead, 'tab-d', 'h')).toMatchObject({
      phase: 'ended',
      verdict: { value: 'valid', agree: 2, differ: 1 },
    });
    expect(checkedBy(ahead, 'tab-d', 'y')).toMatchObject({ phase: 'ended', verdict: { value: 'disputed' } });
  });

  it('[K11] takes a majority where nobody is left', () => {
    const two = stepTask(openTask(terms), committed(1, { order: order.slice(0, 2) }));
    expect(checkedBy(checkedBy(two, 'tab-b', 'y'), 'tab-c', 'h')).toMatchObject({
      phase: 'ended',
      verdict: { value: 'valid', agree: 1, differ: 1 },
    });
  });

  it('[K11] … or against it', () => {
    expect(checkedBy(checkedBy(opened(), 'tab-b', 'y'), 'tab-c', 'y')).toMatchObject({
      phase: 'ended',
      verdict: { value: 'invalid', falseBlock: 0, agree: 0, differ: 2 },
    });
  });

  it('[K11] is disputed when nobody is left to decide', () => {
    const alone = stepTask(openTask(terms), committed(1, { order: order.slice(0, 1) }));
    expect(checkedBy(alone, 'tab-b', 'y')).toMatchObject({ phase: 'ended', verdict: { value: 'disputed' } });
    const everyoneElse = ['tab-b', 'tab-c', 'tab-d'].reduce((task, tab) => checkedBy(task, tab, tab), opened());
    expect(everyoneElse).toMatchObject({ phase: 'ended', verdict: { value: 'disputed', differ: 3 } });
  });

  it('[K12] draws the next checker for one that is lost, refused, or late, and is unchecked after the last', () => {
    const lost = stepTask(opened(), ofChecker(2_000, 'tab-b').at(-1)!);
    expect(drawnTab(lost)).toBe('tab-c');
    const refused = checkedBy(lost, 'tab-c', 'h', false);
    expect(drawnTab(refused)).toBe('tab-d');
    let late = stepTask(refused, ofChecker(2_000, 'tab-d')[0]!);
    late = stepTask(late, { type: 'handed_on', at: 2_000 });
    expect(stepTask(late, { type: 'clock', at: 2_000 + CHECK_DEADLINE_MS })).toMatchObject({
      phase: 'ended',
      verdict: { value: 'unchecked', reason: 'checker_lost' },
      checks: [{ checker: 'tab-c' }, { checker: 'tab-d' }],
    });
  });

  it('draws nobody else for a client that is gone', () => {
    const wrapping = stepTask(opened(), ofChecker(2_000, 'tab-b')[0]!);
    expect(stepTask(wrapping, { type: 'clock', at: 2_000 + WRAP_DEADLINE_MS })).toMatchObject({
      phase: 'ended',
      verdict: { value: 'unchecked', reason: 'client_gone' },
    });
  });

  it('goes on until as many agree as were asked for, and keeps what there is when nobody is left', () => {
    const one = checkedBy(opened({ wanted: 2 }), 'tab-b', 'h');
    expect(drawnTab(one)).toBe('tab-c');
    expect(checkedBy(one, 'tab-c', 'h')).toMatchObject({ verdict: { value: 'valid', agree: 2 } });
    const short = checkedBy(
      stepTask(openTask({ ...terms, wanted: 2 }), committed(1, { order: order.slice(0, 1) })),
      'tab-b',
      'h',
    );
    expect(short).toMatchObject({ phase: 'ended', verdict: { value: 'valid', agree: 1 } });
  });
});
