import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BetweenWork, type QuietTab } from './between-work.ts';

/** A tab with work that ends when a test says so, and a diary. */
function busyTab() {
  const diary: string[] = [];
  const done = Promise.withResolvers<boolean>();
  const tab: QuietTab = {
    withdraw: () => diary.push('withdraw'),
    resume: () => diary.push('resume'),
    quiet: (deadlineMs) => Promise.race([done.promise, new Promise<boolean>((r) => setTimeout(r, deadlineMs, false))]),
  };
  const stop = new AbortController();
  const between = new BetweenWork({ tab: () => tab, tell: () => undefined, signal: stop.signal });
  return { diary, done, tab, stop, between };
}

describe('what a tab does between two pieces of work', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('waits for what runs, and for leases that were under way; then the tab takes work again', async () => {
    const { diary, done, between } = busyTab();
    const acted = between.run('testing', async () => void diary.push('act'));
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect([diary, between.doing]).toEqual([['withdraw'], 'testing']);
    done.resolve(true);
    await vi.advanceTimersByTimeAsync(900);
    expect(diary).toEqual(['withdraw']);
    await vi.advanceTimersByTimeAsync(100);
    await acted;
    expect([diary, between.doing]).toEqual([['withdraw', 'act', 'resume'], null]);
  });

  it('is one thing at a time, and a failure is the next one’s no more', async () => {
    const { diary, done, between } = busyTab();
    done.resolve(true);
    const first = between.run('changing', async () => {
      diary.push('change');
      throw new Error('it failed');
    });
    first.catch(() => undefined);
    const second = between.run('testing', async () => void diary.push('test'));
    await vi.advanceTimersByTimeAsync(5_000);
    await expect(first).rejects.toThrow('it failed');
    await second;
    expect(diary).toEqual(['withdraw', 'change', 'resume', 'withdraw', 'test', 'resume']);
  });

  it('is left when the tab stops meanwhile, also by those who wait for their turn', async () => {
    const { diary, done, stop, between } = busyTab();
    const first = between.run('changing', async () => void diary.push('change'));
    const second = between.run('testing', async () => void diary.push('test'));
    const outcomes = Promise.allSettled([first, second]);
    await vi.advanceTimersByTimeAsync(10);
    stop.abort();
    done.resolve(true);
    await vi.advanceTimersByTimeAsync(5_000);
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(diary).not.toContain('change');
    expect(diary).not.toContain('test');
  });

  it('ends for good with the finish: after two minutes at most, and nothing begins after it', async () => {
    const { diary, tab, between } = busyTab();
    const finished = between.finish(tab);
    await vi.advanceTimersByTimeAsync(119_000);
    await between.run('testing', async () => void diary.push('test'));
    expect([diary, between.doing]).toEqual([['withdraw'], 'finishing']);
    await vi.advanceTimersByTimeAsync(140_000);
    await finished;
    expect(diary).toEqual(['withdraw']);
  });
});
