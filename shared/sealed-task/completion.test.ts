import { describe, expect, it } from 'vitest';
import { type CompletionChunk, collectCompletion, completionChunks } from './completion.ts';
import type { TaskUpdate } from './sealed-task.ts';
import { NOBODY_FIT, ScriptedRouter } from './testing/scripted-router.ts';

const task = { salt: 'S'.repeat(22) };
const router = await ScriptedRouter.create();
const lease = router.lease({ client: 'C'.repeat(43), nonce: 'N'.repeat(22) });

const LEASED: TaskUpdate = { type: 'leased', lease };
const TEXT: TaskUpdate = { type: 'text', text: 'the answer', tokens: 3, path: 'relay' };
const ANSWERED: TaskUpdate = { type: 'answered', finish: 'length', promptTokens: 4, completionTokens: 3 };
const COMMITTED: TaskUpdate = { type: 'committed' };
const ENDED: TaskUpdate = { type: 'ended', verdict: NOBODY_FIT, receipt: null };

async function* told(...updates: readonly TaskUpdate[]): AsyncGenerator<TaskUpdate, void, undefined> {
  yield* updates;
}

async function chunksOf(updates: readonly TaskUpdate[], awaitVerdict: boolean): Promise<CompletionChunk[]> {
  const chunks: CompletionChunk[] = [];
  const options = { includeUsage: true, awaitVerdict };
  for await (const chunk of completionChunks(task, told(...updates), options)) chunks.push(chunk);
  return chunks;
}

describe('a completion', () => {
  const whole = [LEASED, TEXT, ANSWERED, COMMITTED, ENDED];

  it('tells its finish reason with the commit, and its verdict when asked to wait for it', async () => {
    const chunks = await chunksOf(whole, true);
    expect(chunks.map((chunk) => chunk.choices[0]?.finish_reason)).toEqual([null, 'length', undefined, undefined]);
    expect(chunks.map((chunk) => chunk.shoal?.verdict)).toEqual([
      undefined,
      { value: 'pending' },
      undefined,
      NOBODY_FIT,
    ]);
    expect(await chunksOf(whole, false)).toHaveLength(3);
    const collected = await collectCompletion(task, told(...whole), true);
    expect(collected.choices[0]).toMatchObject({ message: { content: 'the answer' }, finish_reason: 'length' });
    expect(collected.shoal).toMatchObject({ task: `task_${lease.task}`, verdict: NOBODY_FIT });
  });

  it.each<[string, readonly TaskUpdate[]]>([
    ['ends before the answer', [LEASED, ENDED]],
    ['stops in mid-answer', [LEASED, TEXT]],
    ['ends before the lease', [ENDED]],
  ])('is no success when the task %s', async (_, updates) => {
    await expect(chunksOf(updates, false)).rejects.toMatchObject({ code: 'tab_lost' });
    await expect(collectCompletion(task, told(...updates), false)).rejects.toMatchObject({ code: 'tab_lost' });
  });
});
