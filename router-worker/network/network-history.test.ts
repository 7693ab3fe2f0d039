import { describe, expect, it } from 'vitest';
import type { LivePool } from '../pool/live-pool.ts';
import { MemoryNetworkStore } from '../testing/memory-network-store.ts';
import { NodeSql } from '../testing/node-sql.ts';
import { LiveView, LOOK_KEPT_MS } from './live-view.ts';
import { NOTHING } from './network-figures.ts';
import { HOUR_MS, KEPT_POINTS, MINUTE_MS, NetworkHistory } from './network-history.ts';
import { SqlNetworkStore } from './network-store.ts';
import { finished } from './network-store-exam.ts';
import { historyView, networkView } from './network-view.ts';

const BEGIN = 500 * HOUR_MS;

function historyAt(at: number, store = new MemoryNetworkStore()) {
  const clock = { at };
  return { clock, store, history: new NetworkHistory(store, () => clock.at) };
}

const EMPTY_POOL: LivePool = { tabs: 0, free: 0, networks: 0, waiting: 0, tokensPerSecond: 0, models: [] };

describe('the history of the network', () => {
  it('counts an answer once, by its verdict, its way and how far its checker was, though it is told twice', () => {
    const { history } = historyAt(BEGIN);
    const told = [
      finished('a', { endedAt: BEGIN, independence: 'network', relayBytes: 7, directBytes: 3, tokens: 4 }),
      finished('b', { endedAt: BEGIN, sure: 'unverified', independence: null, relayBytes: 0, tokens: 1 }),
      finished('c', { endedAt: BEGIN, answered: false, sure: 'unverified', independence: null }),
    ];
    history.ended(told);
    history.ended(told);
    const expected = {
      ...NOTHING,
      answers: 2,
      unanswered: 1,
      tokens: 5,
      verified: 1,
      unverified: 1,
      byNetwork: 1,
      relayBytes: 7,
      directBytes: 3,
    };
    expect(history.last('hour')).toEqual(expected);
    expect(history.last('day')).toEqual(expected);
    expect(history.points('minute')).toEqual([{ at: BEGIN, figures: expected }]);
  });

  it('forgets minutes and hours that fall out of their rings, and never has more points than they have places', () => {
    const { clock, history, store } = historyAt(BEGIN);
    for (let i = 0; i < 2 * KEPT_POINTS.hour * 60; i += 7) {
      clock.at = BEGIN + i * MINUTE_MS;
      history.sampled({ tabs: 2, free: 1, waiting: 0 });
    }
    for (const span of ['minute', 'hour'] as const) {
      expect(store.points(span, 0).length).toBeLessThanOrEqual(KEPT_POINTS[span]);
    }
    expect(history.points('hour')).toHaveLength(KEPT_POINTS.hour);
    clock.at += 30 * 24 * HOUR_MS;
    history.sampled({ tabs: 0, free: 0, waiting: 0 });
    expect(store.points('hour', 0)).toHaveLength(1);
  });

  it('lets one that is told late into the hour that it belongs to, and nowhere once that is forgotten', () => {
    const { history } = historyAt(BEGIN);
    history.ended([finished('a', { endedAt: BEGIN - 5 * HOUR_MS })]);
    history.ended([finished('b', { endedAt: BEGIN - 5_000 * HOUR_MS })]);
    expect(history.points('minute')).toEqual([]);
    expect(history.points('hour').map(({ at, figures }) => [at, figures.answers])).toEqual([[BEGIN - 5 * HOUR_MS, 1]]);
    expect(history.last('day').answers).toBe(1);
  });

  it('is what it was after its object was evicted', () => {
    const { sql } = new NodeSql();
    const first = new NetworkHistory(new SqlNetworkStore(sql), () => BEGIN);
    first.ended([finished('a', { endedAt: BEGIN })]);
    first.sampled({ tabs: 4, free: 1, waiting: 2 });
    const second = new NetworkHistory(new SqlNetworkStore(sql), () => BEGIN);
    expect(historyView(second)).toEqual(historyView(first));
    expect(second.recent(9)).toEqual([finished('a', { endedAt: BEGIN })]);
  });

  it('shows means of what was there, and says where nobody looked', () => {
    const { history } = historyAt(BEGIN);
    history.ended([finished('a', { endedAt: BEGIN - MINUTE_MS })]);
    history.sampled({ tabs: 3, free: 2, waiting: 0 });
    history.sampled({ tabs: 4, free: 0, waiting: 1 });
    expect(historyView(history).minutes.map(({ tabs, free_tabs, waiting }) => [tabs, free_tabs, waiting])).toEqual([
      [null, null, null],
      [3.5, 1, 0.5],
    ]);
  });

  it('[V1] tells of recent tasks the minute, the model and how sure it is; nothing that opens the receipt', () => {
    const { history } = historyAt(BEGIN);
    history.ended([finished('a', { endedAt: BEGIN + 12_345 })]);
    expect(networkView(history, { at: BEGIN, pool: EMPTY_POOL }, { pools: 1, silent: 0 }).recent).toEqual([
      {
        entry: 'a',
        minute: BEGIN,
        model: 'pup',
        variant: 'q8_0',
        answered: true,
        sure: 'verified',
        independence: 'key',
      },
    ]);
  });
});

describe('the look at the pool', () => {
  it('[V2] is one for all who ask at once, and for all who ask in the next seconds', async () => {
    const clock = { at: 0 };
    let asked = 0;
    const view = new LiveView(
      async () => {
        asked++;
        await Promise.resolve();
        return EMPTY_POOL;
      },
      () => clock.at,
    );
    await Promise.all(Array.from({ length: 1_000 }, () => view.get()));
    expect(asked).toBe(1);
    clock.at = LOOK_KEPT_MS - 1;
    await view.get();
    expect(asked).toBe(1);
    clock.at = LOOK_KEPT_MS;
    await view.get();
    expect(asked).toBe(2);
  });

  it('is taken again when it failed', async () => {
    let fails = true;
    const view = new LiveView(
      () => (fails ? Promise.reject(new Error('out of reach')) : Promise.resolve(EMPTY_POOL)),
      () => 0,
    );
    await expect(view.get()).rejects.toThrow('out of reach');
    fails = false;
    expect(await view.get()).toEqual({ at: 0, pool: EMPTY_POOL });
  });
});
