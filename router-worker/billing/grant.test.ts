import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Terms } from './bill.ts';
import { IDLE_GRANT_MS, isSpent, newPurse, type Purse, type PurseEvent, stepPurse } from './grant.ts';

const TERMS: Terms = { prices: { q8_0: 3 }, level: 'basic', wanted: 1, sla: 'standard', promptTokens: 9, tokens: 20 };
const ANN = { account: 'ann', key: 'key_1', budget: null, allowance: null };
const HOUR_MS = 3_600_000;

const run = (events: readonly PurseEvent[], from = newPurse('s', ANN, 0)) => events.reduce(stepPurse, from);
const drawn = (id: string, amount: number, expiresAt = 9 * HOUR_MS): PurseEvent => ({
  type: 'drawn',
  at: 1,
  id,
  result: { status: 'granted', amount, expiresAt },
});
const hold = (task: string, amount: number): PurseEvent => ({ type: 'hold', at: 1, task, amount, terms: TERMS });
const FIRST_DRAW = 'draw:s:ann:key_1:1';

describe('the purse of a session', () => {
  it('is stored in a form that does not change', () => {
    const purse = run([
      { type: 'draw', at: 1, amount: 40 },
      drawn(FIRST_DRAW, 100),
      hold('one', 40),
      hold('two', 50),
      { type: 'settle', at: 2, task: 'one', charge: 30, pays: [{ tab: 't', class: 'c', role: 'answer', amount: 28 }] },
      { type: 'draw', at: 3, amount: 60 },
    ]);
    expect(JSON.parse(JSON.stringify(purse))).toEqual({
      session: 's',
      payer: ANN,
      grant: { id: 's:ann:key_1:1', free: 20, expiresAt: 9 * HOUR_MS },
      grants: 1,
      draws: 2,
      drawing: { id: 'draw:s:ann:key_1:2', grant: 's:ann:key_1:1', account: 'ann', key: 'key_1', need: 40, want: 480 },
      holds: [{ task: 'two', grant: 's:ann:key_1:1', amount: 50, at: 1, terms: TERMS }],
      orders: [
        {
          kind: 'settle',
          id: 'settle:one',
          grant: 's:ann:key_1:1',
          task: 'one',
          charge: 30,
          pays: [{ tab: 't', class: 'c', role: 'answer', amount: 28 }],
        },
      ],
      usedAt: 2,
    });
  });

  it('[M3] charges no more than was held, whatever it is told', () => {
    const purse = run([
      { type: 'draw', at: 1, amount: 40 },
      drawn(FIRST_DRAW, 40),
      hold('one', 40),
      { type: 'settle', at: 2, task: 'one', charge: 1_000, pays: [] },
    ]);
    expect([purse.grant?.free, purse.orders]).toMatchObject([0, [{ charge: 40 }]]);
  });

  it('believes a reply to the draw that it waits for, and to no other', () => {
    const asked = run([{ type: 'draw', at: 1, amount: 40 }]);
    expect(stepPurse(asked, drawn('draw:s:ann:key_1:7', 40))).toBe(asked);
    const known = stepPurse(asked, drawn(FIRST_DRAW, 40));
    expect(stepPurse(known, drawn(FIRST_DRAW, 40))).toBe(known);
  });

  it('[M4] gives back what rests, and nothing that a task holds', () => {
    const idle = run([{ type: 'draw', at: 1, amount: 40 }, drawn(FIRST_DRAW, 100), hold('one', 40)]);
    const later: PurseEvent = { type: 'clock', at: 1 + IDLE_GRANT_MS };
    expect(stepPurse(idle, later)).toBe(idle);
    const free = stepPurse(idle, { type: 'release', at: 1, task: 'one' });
    const given = stepPurse(free, later);
    expect([given.grant, given.orders]).toEqual([
      null,
      [{ kind: 'close', id: 'close:s:ann:key_1:1', grant: 's:ann:key_1:1' }],
    ]);
    expect(isSpent(given)).toBe(false);
    expect(isSpent(stepPurse(given, { type: 'taken', at: 2, orders: ['close:s:ann:key_1:1'] }))).toBe(true);
  });

  it('[M2] [M3] never counts on more than was drawn, in any order of events', () => {
    const task = fc.constantFrom('a', 'b', 'c', 'd');
    const amount = fc.nat(200);
    const event = fc.oneof(
      fc.record({ type: fc.constant('hold' as const), task, amount }),
      fc.record({ type: fc.constant('draw' as const), amount }),
      fc.record({ type: fc.constant('reply' as const), amount, status: fc.constantFrom('granted', 'refused', 'over') }),
      fc.record({ type: fc.constant('settle' as const), task, amount }),
      fc.record({ type: fc.constant('release' as const), task }),
      fc.record({ type: fc.constant('clock' as const), amount: fc.nat(3 * HOUR_MS) }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        let at = 0;
        let purse: Purse = newPurse('s', ANN, at);
        const granted = new Map<string, number>();
        for (const one of events) {
          if (one.type === 'hold') purse = stepPurse(purse, { ...one, at, terms: TERMS });
          else if (one.type === 'draw') purse = stepPurse(purse, { ...one, at });
          else if (one.type === 'settle') {
            purse = stepPurse(purse, { type: 'settle', at, task: one.task, charge: one.amount, pays: [] });
          } else if (one.type === 'release') purse = stepPurse(purse, { ...one, at });
          else if (one.type === 'clock') {
            at += one.amount;
            purse = stepPurse(purse, { type: 'clock', at });
          } else if (purse.drawing !== null) {
            const { id, grant, need } = purse.drawing;
            const given = need + one.amount;
            if (one.status === 'granted') granted.set(grant, (granted.get(grant) ?? 0) + given);
            const result =
              one.status === 'granted'
                ? ({ status: 'granted', amount: given, expiresAt: at + 2 * HOUR_MS } as const)
                : one.status === 'over'
                  ? ({ status: 'over' } as const)
                  : ({ status: 'refused', why: 'balance', free: 0 } as const);
            purse = stepPurse(purse, { type: 'drawn', at, id, result });
          }
          const used = (grant: string) =>
            purse.holds.filter((held) => held.grant === grant).reduce((sum, held) => sum + held.amount, 0) +
            purse.orders.reduce(
              (sum, order) => sum + (order.kind === 'settle' && order.grant === grant ? order.charge : 0),
              0,
            );
          for (const [grant, sum] of granted) {
            const free = purse.grant?.id === grant ? purse.grant.free : 0;
            expect(free).toBeGreaterThanOrEqual(0);
            expect(free + used(grant)).toBeLessThanOrEqual(sum);
          }
        }
      }),
      { seed: 11, numRuns: 300 },
    );
  });
});
