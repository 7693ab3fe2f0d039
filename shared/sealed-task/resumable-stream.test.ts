import { describe, expect, it } from 'vitest';
import { ResumableStream } from './resumable-stream.ts';
import { ScriptedStream } from './testing/scripted-router.ts';

const waiting = (ahead: number) => ({ t: 'waiting' as const, ahead, etaMs: 0 });

/** A stream that can be taken up as often as a test hands out another one. */
function resumable() {
  const asked: PromiseWithResolvers<ReadableStream<Uint8Array>>[] = [];
  const first = new ScriptedStream();
  const records = new ResumableStream(first.stream, () => {
    const next = Promise.withResolvers<ReadableStream<Uint8Array>>();
    asked.push(next);
    return next.promise;
  });
  return { first, records, asked };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
}

describe('a stream that breaks', () => {
  it('[T7] goes on where another one takes it up', async () => {
    const { first, records, asked } = resumable();
    first.event(waiting(1));
    expect(await records.next()).toEqual({ event: waiting(1) });
    first.break();
    const next = records.next();
    await turn();
    const second = new ScriptedStream();
    asked[0]!.resolve(second.stream);
    second.event(waiting(2));
    expect(await next).toEqual({ event: waiting(2) });
    second.end();
    expect(await records.next()).toBe(null);
  });

  it('is given up after the second time', async () => {
    const { first, records, asked } = resumable();
    first.break();
    const next = records.next();
    next.catch(() => undefined);
    for (const i of [0, 1]) {
      await turn();
      asked[i]!.reject(new Error('still nobody there'));
    }
    await expect(next).rejects.toMatchObject({ code: 'internal_error', retryable: true });
    expect(asked).toHaveLength(2);
    await expect(records.renew()).rejects.toMatchObject({ code: 'tab_lost' });
  });

  it('[T3] is not taken up by whoever stopped meanwhile: the new stream is given back unread', async () => {
    const { first, records, asked } = resumable();
    first.break();
    const next = records.next();
    await turn();
    await records.stop();
    const second = new ScriptedStream();
    second.event(waiting(2));
    asked[0]!.resolve(second.stream);
    await second.cancelled;
    expect(await next).toBe(null);
    expect(asked).toHaveLength(1);
  });

  it('[T3] is not asked for again by whoever stopped meanwhile', async () => {
    const { first, records, asked } = resumable();
    first.break();
    const next = records.next();
    await turn();
    await records.stop();
    asked[0]!.reject(new Error('still nobody there'));
    expect(await next).toBe(null);
    expect(asked).toHaveLength(1);
  });
});

describe('a stream that is renewed', () => {
  it('[T3] is given back when its reader stopped while it was opened', async () => {
    const { records, asked } = resumable();
    const renewed = records.renew();
    await turn();
    await records.stop();
    const second = new ScriptedStream();
    asked[0]!.resolve(second.stream);
    await Promise.all([renewed, second.cancelled]);
    expect(await records.next()).toBe(null);
  });

  it('leaves the one before', async () => {
    const { first, records, asked } = resumable();
    const renewed = records.renew();
    asked[0]!.resolve(new ScriptedStream().stream);
    await Promise.all([renewed, first.cancelled]);
  });
});
