import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSessionSettings } from '../../shared/protocol/session-api.ts';
import { costOfUse, judgeAdmission, type SessionUse } from './judge-admission.ts';

const NONE: SessionUse = { spent: 0, held: 0, tasks: 0, answering: 0 };
const judge = (body: object, use: Partial<SessionUse>, price: number) => {
  const refusal = judgeAdmission(parseSessionSettings(body, null), { ...NONE, ...use }, price);
  return refusal === null ? null : [refusal.code, refusal.param];
};

describe('an admission', () => {
  it('is bounded by nothing that was not asked for', () => {
    expect(judge({}, { spent: 1e12, held: 1e12, tasks: 1e6, answering: 1e3 }, 1e12)).toBe(null);
  });

  it('keeps what was spent, what is held and what may come within the budget', () => {
    expect(judge({ budget: 100 }, { spent: 50, held: 30 }, 20)).toBe(null);
    expect(judge({ budget: 100 }, { spent: 50, held: 30 }, 51)).toEqual(['session_exhausted', 'budget']);
    expect(judge({ budget: 100 }, { spent: 50, held: 30 }, 21)).toEqual(['session_busy', 'budget']); // What is held may come back.
  });

  it('counts tasks and answers at work, and names what lasts before what passes', () => {
    expect(judge({ max_tasks: 2 }, { tasks: 1 }, 1)).toBe(null);
    expect(judge({ max_tasks: 2, tabs: { max: 1 } }, { tasks: 2, answering: 1 }, 1)).toEqual([
      'session_exhausted',
      'max_tasks',
    ]);
    const together = judgeAdmission(parseSessionSettings({ max_tasks: 4 }, null), { ...NONE, tasks: 2 }, 1, 3);
    expect(together?.message).toBe('The session has had 2 of the 4 tasks that it may have, and this is 3 more.');
    expect(judge({ tabs: { max: 2 } }, { answering: 1 }, 1)).toBe(null);
    expect(judge({ tabs: { max: 2 } }, { answering: 2 }, 1)).toEqual(['session_busy', 'tabs.max']);
  });

  it('[B4] never lets a session spend more than its budget, in whatever order tasks begin and end', () => {
    const step = fc.record({
      price: fc.integer({ min: 1, max: 500 }),
      used: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.array(fc.tuple(step, fc.boolean())), (budget, steps) => {
        const settings = parseSessionSettings({ budget }, null);
        let use = NONE;
        const held: { price: number; used: number }[] = [];
        for (const [task, ends] of steps) {
          if (judgeAdmission(settings, use, task.price) === null) {
            held.push(task);
            use = { ...use, held: use.held + task.price };
          }
          const over = ends ? held.shift() : undefined;
          if (over !== undefined) {
            const cost = costOfUse(over.price, 1000, Math.floor(over.used * 1000));
            use = { ...use, held: use.held - over.price, spent: use.spent + cost };
          }
          expect(use.spent + use.held).toBeLessThanOrEqual(budget);
        }
      }),
    );
  });
});

describe('the cost of what was used', () => {
  it('is in proportion, rounded up, and never more than was held', () => {
    expect(costOfUse(231, 77, 43)).toBe(129);
    expect(costOfUse(243, 77, 43)).toBe(136);
    expect(costOfUse(100, 10, 0)).toBe(0);
    expect(costOfUse(100, 10, 25)).toBe(100);
    expect(costOfUse(1e15, 32_768, 32_767)).toBe(999_969_482_421_875);
  });
});
