import { describe, expect, it } from 'vitest';
import { Turns } from './turns.ts';

const NEVER = new AbortController().signal;

describe('turns', () => {
  it('come in the order of asking, also after one that failed', async () => {
    const turns = new Turns();
    const done: number[] = [];
    const act = (number: number) =>
      turns.run(NEVER, async () => {
        await Promise.resolve();
        done.push(number);
        if (number === 2) throw new Error('it failed');
      });
    await Promise.allSettled([act(1), act(2), act(3)]);
    expect(done).toEqual([1, 2, 3]);
  });

  it('are given up at once by whoever is stopped while it waits, and the next one does not wait for it', async () => {
    const turns = new Turns();
    const release = await turns.take(NEVER);
    const stop = new AbortController();
    const stopped = turns.take(stop.signal);
    const next = turns.take(NEVER);
    stop.abort();
    await expect(stopped).rejects.toMatchObject({ name: 'AbortError' });
    release();
    (await next)();
  });

  it('are not taken by what was stopped before', async () => {
    const turns = new Turns();
    await expect(turns.take(AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' });
    (await turns.take(NEVER))();
  });
});
