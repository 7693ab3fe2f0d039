import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import embedded from '../../models/embedded/catalogue.json' with { type: 'json' };
import { type Catalogue, type ServedVariant, servedVariants } from '../../shared/classes/catalogue.ts';
import { ModelDownloadError } from '../models/model-download-error.ts';
import { SlowDevice } from '../preflight/self-test.ts';
import { nameOf } from './model-on-device.ts';
import { NextModel } from './next-model.ts';

const [SERVED] = (await servedVariants(embedded as unknown as Catalogue)) as [ServedVariant];
const NAME = nameOf(SERVED);
const MINUTE = 60_000;

/** Counts the tries; each fails with the next cause, and succeeds where there is none. */
function next(causes: Error[]) {
  const stop = new AbortController();
  let tries = 0;
  let served: string | null = null;
  const changes: string[] = [];
  const made = new NextModel({
    plan: () => ({ wanted: (_classes, _served, isPaused) => (isPaused(NAME) ? null : SERVED) }),
    download: {
      fetch: async () => {
        tries++;
        const cause = causes.shift();
        if (cause !== undefined) throw cause;
        return new Blob();
      },
    },
    served: () => served,
    changeTo: async (target, _weights, because) => {
      served = target.class;
      changes.push(because);
    },
    tell: () => undefined,
    signal: stop.signal,
  });
  return { made, stop, changes, tries: () => tries };
}

const cut = () => new ModelDownloadError('The model could not be fetched.', 'unreachable');

describe('the next model of a tab', () => {
  beforeEach(() => vi.useFakeTimers({ now: 0 }));
  afterEach(() => vi.useRealTimers());

  it('is tried again by itself after 10, 20 and 40 minutes, and the page is told when', async () => {
    const { made, changes, tries } = next([cut(), cut(), cut()]);
    await made.climb(SERVED, 'It is larger.');
    expect(made.missed).toEqual({ model: NAME, reason: 'The model could not be fetched.', againAt: 10 * MINUTE });
    await vi.advanceTimersByTimeAsync(10 * MINUTE);
    expect([tries(), made.missed?.againAt]).toEqual([2, 30 * MINUTE]);
    await vi.advanceTimersByTimeAsync(20 * MINUTE);
    expect([tries(), made.missed?.againAt]).toEqual([3, 70 * MINUTE]);
    await vi.advanceTimersByTimeAsync(40 * MINUTE);
    expect([tries(), made.missed, changes]).toEqual([4, null, ['It is larger.']]);
  });

  it('that the network asks for is not tried every ten minutes when it fails', async () => {
    const { made, tries } = next(Array.from({ length: 99 }, cut));
    for (let minutes = 0; minutes < 24 * 60; minutes++) {
      made.follow(['cls_short']);
      await vi.advanceTimersByTimeAsync(MINUTE);
    }
    expect(tries()).toBe(8); // At 0, 10, 30, 70, 150, 310, 630 minutes and 1,270.
  });

  it('that the network asked for meanwhile is not put in its own place', async () => {
    const { made, changes, tries } = next([cut(), cut()]);
    await made.climb(SERVED, 'It is larger.');
    await vi.advanceTimersByTimeAsync(10 * MINUTE); // The second try: the third is due at 30 minutes.
    await vi.advanceTimersByTimeAsync(20 * MINUTE - 1);
    vi.setSystemTime(Date.now() + 1);
    made.follow(['cls_short']);
    await vi.advanceTimersByTimeAsync(60 * MINUTE);
    expect([tries(), changes]).toEqual([3, ['The network is short of tabs with this model, and it fits this device.']]);
  });

  it('that this device is too slow for is not tried again', async () => {
    const slow = { outcome: 'slow', wroteBytes: 0, withinMs: 20_000 } as const;
    const { made, tries } = next([new SlowDevice(NAME, slow, 'small')]);
    await made.climb(SERVED, 'It is larger.');
    expect(made.missed).toEqual({
      model: NAME,
      reason: `This device is too slow for ${NAME}: it wrote nothing in 20 s.`,
      againAt: null,
    });
    made.follow(['cls_short']);
    await vi.advanceTimersByTimeAsync(24 * 60 * MINUTE);
    expect([tries(), vi.getTimerCount()]).toEqual([1, 0]);
  });

  it('is forgotten when the tab stops', async () => {
    const { made, stop, tries } = next([cut()]);
    await made.climb(SERVED, 'It is larger.');
    stop.abort();
    await vi.advanceTimersByTimeAsync(24 * 60 * MINUTE);
    expect([tries(), vi.getTimerCount()]).toEqual([1, 0]);
  });
});
