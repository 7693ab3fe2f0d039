import type { TaskTail } from '../../shared/protocol/fields.ts';
import { type Completion, collectCompletion } from '../../shared/sealed-task/completion.ts';
import type { SealedTask, TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';

/** Takes an answer that is to be kept. */
export type Keep = (task: TaskTail, answer: Completion) => void;

/** Gives an answer to be kept when its tab has signed it, while it passes. Its verdict is known elsewhere, and later. */
export async function* keepAnswer(
  task: Pick<SealedTask, 'salt'>,
  updates: AsyncGenerator<TaskUpdate, void, undefined>,
  keep: Keep | null,
): AsyncGenerator<TaskUpdate, void, undefined> {
  if (keep === null) return yield* updates;
  const seen: TaskUpdate[] = [];
  let tail: TaskTail | null = null;
  for await (const update of updates) {
    seen.push(update);
    if (update.type === 'leased') tail = update.lease.task;
    if (update.type === 'committed' && tail !== null) {
      keep(tail, await collectCompletion(task, again(seen), false));
      seen.length = 0;
    }
    yield update;
  }
}

async function* again(updates: readonly TaskUpdate[]): AsyncGenerator<TaskUpdate, void, undefined> {
  yield* updates;
}
