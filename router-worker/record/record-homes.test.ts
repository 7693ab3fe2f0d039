import { describe, expect, it } from 'vitest';
import { NodeSql } from '../testing/node-sql.ts';
import { LateFindings, type NumberedFinding } from './late-findings.ts';
import { ban, newRecord, observe, standingOf, type TabRecord } from './record.ts';
import { type HandedRecords, RecordHomes } from './record-homes.ts';
import { SqlRecordStore } from './sql-record-store.ts';

const TAB = 'tab';
const DAY_MS = 24 * 60 * 60 * 1000;

/** What one pool keeps, as it finds it whenever it starts. */
function pool(number: number, clock: { at: number } = { at: 1_000 }) {
  const { sql } = new NodeSql();
  const store = new SqlRecordStore(sql);
  return { sql, store, number, homes: new RecordHomes(sql, store, number, () => clock.at) };
}

type Kept = ReturnType<typeof pool>;

/** The tab joins a pool: the others are asked. `dies`: the taker, before it writes what it was given. */
function joins(taker: Kept, others: readonly Kept[], dies = false): void {
  if (taker.homes.isAdopted(TAB)) return;
  const handed = others.map((other): HandedRecords => other.homes.handOver(TAB, taker.number));
  if (!dies) taker.homes.adopt(TAB, handed);
}

const banned = ban(newRecord(TAB, 'c', 1), 2);
const passed = (record: TabRecord, at: number) =>
  observe(record, { outcome: 'agreed', role: 'answer', source: 'network', at });

describe('the records of a tab that moves', () => {
  it('[Q4] are pool 0’s until another one has them, and then nobody else’s', () => {
    const [first, second] = [pool(0), pool(1)];
    first.store.save(banned);
    expect([first.homes.homeOf(TAB), second.homes.homeOf(TAB)]).toEqual([0, null]);
    joins(second, [first]);
    expect([first.homes.homeOf(TAB), second.homes.homeOf(TAB)]).toEqual([1, 1]);
    expect(second.store.ofTab(TAB)).toEqual([banned]);
  });

  it('[Q4] are given again to a taker that died before it wrote them', () => {
    const [first, second] = [pool(0), pool(1)];
    first.store.save(banned);
    joins(second, [first], true);
    joins(second, [first], true);
    expect(second.homes.isHere(TAB)).toBe(false);
    joins(second, [first]);
    joins(second, [first]);
    expect(second.store.ofTab(TAB)).toEqual([banned]);
  });

  it('[Q4] are the newest copy, wherever the tab was, and whoever died on the way', () => {
    const [first, second, third] = [pool(0), pool(1), pool(2)];
    first.store.save(passed(newRecord(TAB, 'c', 1), 2));
    joins(second, [first]);
    second.store.save(banned);
    joins(third, [first, second], true); // On to the third, which dies.
    joins(third, [first, second]);
    expect(third.store.ofTab(TAB)).toEqual([banned]);
    joins(first, [second, third]); // A tab that does not name itself is seated in the first.
    expect(first.store.ofTab(TAB)).toEqual([banned]);
    expect([first, second, third].map(({ homes }) => homes.isHere(TAB))).toEqual([true, false, false]);
  });

  it('[Q4] come from where they are although the pool between never took them', () => {
    const [first, second, third] = [pool(0), pool(1), pool(2)];
    first.store.save(banned);
    joins(second, [first], true);
    joins(third, [first, second]);
    expect(third.store.ofTab(TAB)).toEqual([banned]);
  });

  it('does not take an old copy for a new one when a tab without records has moved', () => {
    const [first, second] = [pool(0), pool(1)];
    joins(second, [first]);
    second.store.save(banned);
    first.store.save(newRecord(TAB, 'c', 1)); // Of before; nobody asks for it any more.
    joins(first, [second]);
    expect(first.store.ofTab(TAB)).toEqual([banned]);
  });

  it('are remembered to be elsewhere as long as there are any', () => {
    const clock = { at: 0 };
    const [first, second] = [pool(0, clock), pool(1, clock)];
    first.store.save(banned);
    joins(second, [first]);
    clock.at = 100 * DAY_MS;
    first.homes.forget();
    second.homes.forget();
    expect([first.homes.homeOf(TAB), second.homes.homeOf(TAB)]).toEqual([1, 1]);
  });

  it('are not written down for a tab that has none: identities cost nothing', () => {
    const [first, second] = [pool(0), pool(1)];
    joins(second, [first]);
    expect([first.homes.homeOf(TAB), second.homes.isAdopted(TAB)]).toEqual([1, true]);
    const rows = [first, second].map(({ sql }) => sql.exec('SELECT count(*) AS n FROM record_home').one());
    expect(rows).toEqual([{ n: 0 }, { n: 0 }]);
    second.store.save(banned); // It is found out there …
    const restarted = [first, second].map(
      ({ sql, store, number }): Kept => ({ sql, store, number, homes: new RecordHomes(sql, store, number, () => 1) }),
    );
    expect(restarted.map(({ homes }) => homes.isAdopted(TAB))).toEqual([false, false]);
    joins(restarted[0]!, [restarted[1]!]); // … and comes back to the first, which had never heard of it.
    expect(first.store.ofTab(TAB)).toEqual([banned]);
  });
});

describe('what is found of a tab after it has moved', () => {
  const lie = {
    tab: TAB,
    class: 'c',
    finding: { outcome: 'refuted', reason: 'third_execution' },
    role: 'answer',
    source: 'user',
  } as const;

  it('[Q4] goes on its record in the new pool, once, whatever is lost on the way', async () => {
    const taken: TabRecord[] = [newRecord(TAB, 'c', 1)];
    const receiver = new LateFindings(new NodeSql().sql, async () => true);
    let isReplyLost = true;
    const { sql } = new NodeSql();
    const send = async (found: NumberedFinding) => {
      if (receiver.isNews(0, found)) {
        const { finding, role, source } = found;
        taken.push(observe(taken.at(-1)!, { ...finding, role, source, at: 2 }));
      }
      if (isReplyLost) throw new Error('the reply was lost');
      return true;
    };
    const sender = new LateFindings(sql, send);
    sender.add(lie);
    await expect.poll(() => taken.length).toBe(2);
    isReplyLost = false;
    await new LateFindings(sql, send).drain(); // The object started anew.
    expect(taken).toHaveLength(2);
    expect(standingOf(taken[1]!, 2)).toBe('quarantined');
  });

  it('[Q4] waits, in its order, until the new pool has the records', async () => {
    let isThere = false;
    const seen: number[] = [];
    const { sql } = new NodeSql();
    const sender = new LateFindings(sql, async ({ number }) => {
      if (isThere) seen.push(number);
      return isThere;
    });
    sender.add(lie);
    sender.add({ ...lie, class: 'd' });
    await sender.drain();
    isThere = true;
    await expect
      .poll(async () => {
        await sender.drain();
        return seen;
      })
      .toEqual([1, 2]);
  });
});
