import { ShoalError } from '../../shared/errors.ts';
import { vectorOfLine } from '../../shared/protocol/vector-lines.ts';
import type { TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';

/** Passes on the answer to a task that embeds, as long as it is one. Throws `integrity_failed` before the commit of any other, so that another tab is asked. */
export async function* onlyVectors(
  updates: AsyncGenerator<TaskUpdate, void, undefined>,
  texts: number,
  dimensions: number,
): AsyncGenerator<TaskUpdate, void, undefined> {
  const parts: string[] = [];
  for await (const update of updates) {
    if (update.type === 'text') parts.push(update.text);
    if (update.type === 'committed' && linesOf(parts.join(''), texts, dimensions) === null) {
      throw new ShoalError('integrity_failed', 'The tab gave something else than the vectors of the texts.');
    }
    yield update;
  }
}

/** The lines of so many vectors; null for any other text. */
export function linesOf(answer: string, texts: number, dimensions: number): readonly string[] | null {
  const lines = answer.split('\n');
  return lines.length === texts && lines.every((line) => vectorOfLine(line, dimensions) !== null) ? lines : null;
}
