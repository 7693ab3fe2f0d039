import { describe, expect, it } from 'vitest';
import type { Lease } from '../../shared/protocol/lease.ts';
import { vectorLine } from '../../shared/protocol/vector-lines.ts';
import type { TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';
import { onlyVectors } from './only-vectors.ts';

const LINE = vectorLine(Float32Array.of(0.6, 0.8));

/** What a tab writes of two texts, in two frames; and who was suspected. */
async function reading(text: string): Promise<{ readonly seen: readonly string[]; readonly suspected: unknown[] }> {
  async function* updates(): AsyncGenerator<TaskUpdate, void, undefined> {
    yield { type: 'leased', lease: { tab: 'liar', class: 'cls' } as Lease };
    for (const part of [text.slice(0, 5), text.slice(5)]) yield { type: 'text', text: part, tokens: 0, path: 'relay' };
    yield { type: 'committed' };
  }
  const seen: string[] = [];
  const suspected: unknown[] = [];
  const suspect = (...named: unknown[]) => void suspected.push(named);
  try {
    for await (const { type } of onlyVectors(updates(), 2, 2, suspect)) seen.push(type);
  } catch (cause) {
    seen.push((cause as { code: string }).code);
  }
  return { seen, suspected };
}

describe('the answer to a task that embeds', () => {
  it('[X1] passes when it has a vector for each text', async () => {
    expect(await reading(`${LINE}\n${LINE}`)).toEqual({
      seen: ['leased', 'text', 'text', 'committed'],
      suspected: [],
    });
  });

  it.each([
    ['words', 'Here are your vectors.'],
    ['nothing', ''],
    ['one vector of two', LINE],
    ['one vector too many', `${LINE}\n${LINE}\n${LINE}`],
    ['a number that is none', `${LINE}\n${vectorLine(Float32Array.of(Number.NaN, 0))}`],
    ['vectors of another length', `${LINE}\n${vectorLine(Float32Array.of(1, 0, 0))}`],
  ])('[X1] is refused before its commit when it is %s, and its tab suspected', async (_, text) => {
    expect(await reading(text)).toEqual({
      seen: ['leased', 'text', 'text', 'integrity_failed'],
      suspected: [['liar', 'cls', 'no_vectors']],
    });
  });
});
