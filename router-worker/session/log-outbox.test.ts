import { describe, expect, it } from 'vitest';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import { drainToLog } from './log-outbox.ts';

/** An outbox of receipts by the tails of their tasks. */
function outbox(count: number) {
  const waiting = new Map<string, Signed>(
    Array.from({ length: count }, (_, i) => [`t${i}`, { payload: `${i}`, key: 'K', signature: 'AAAA' }]),
  );
  return {
    waiting,
    unlogged: (limit: number) => [...waiting].slice(0, limit).map(([tail, receipt]) => ({ tail, receipt })),
    logged: (tails: readonly string[]) => {
      for (const tail of tails) waiting.delete(tail);
    },
  };
}

describe('the outbox of receipts', () => {
  it('is emptied into the log, a hundred at a time', async () => {
    const store = outbox(250);
    const calls: number[] = [];
    await drainToLog(store, async (entries) => calls.push(entries.length));
    expect({ calls, left: store.waiting.size }).toEqual({ calls: [100, 100, 50], left: 0 });
  });

  it('keeps what the log did not take, and sends the same digests the next time', async () => {
    const store = outbox(2);
    const sent: (readonly string[])[] = [];
    const broken = async (entries: readonly string[]) => {
      sent.push(entries);
      throw new Error('the log cannot be reached');
    };
    await expect(drainToLog(store, broken)).rejects.toThrow('cannot be reached');
    expect(store.waiting.size).toBe(2);
    await drainToLog(store, async (entries) => sent.push(entries));
    expect(sent[1]).toEqual(sent[0]);
    expect(sent[0]?.every((entry) => /^[\w-]{43}$/.test(entry))).toBe(true);
    expect(store.waiting.size).toBe(0);
  });

  it('keeps receipts back that may still have to say something else, however many, and none of the others', async () => {
    const store = outbox(250);
    const unsaid = [...store.waiting.keys()].slice(0, 120);
    const calls: number[] = [];
    const append = async (entries: readonly string[]) => calls.push(entries.length);
    await drainToLog(store, append, unsaid);
    expect({ calls, left: [...store.waiting.keys()] }).toEqual({ calls: [100, 30], left: unsaid });
    await drainToLog(store, append);
    expect({ calls, left: store.waiting.size }).toEqual({ calls: [100, 30, 100, 20], left: 0 });
  });

  it('calls nobody when it is empty', async () => {
    await drainToLog(outbox(0), () => Promise.reject(new Error('was called')));
  });
});
