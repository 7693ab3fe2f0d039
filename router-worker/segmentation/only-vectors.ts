import { ShoalError } from '../../shared/errors.ts';
import { vectorOfLine } from '../../shared/protocol/vector-lines.ts';
import type { TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';
import type { Suspicion } from '../pool/tab-records.ts';

/** Passes on the answer to a task that embeds, as long as it is one. Throws `integrity_failed` before the commit of any other, so that another tab is asked; more answers of a tab that gave such a one are checked. */
export async function* onlyVectors(
  updates: AsyncGenerator<TaskUpdate, void, undefined>,
  texts: number,
  dimensions: number,
  suspect: (tab: string, classId: string, reason: Suspicion) => void,
): AsyncGenerator<TaskUpdate, void, undefined> {
  const parts: string[] = [];
  let by: { readonly tab: string; readonly class: string } | null = null;
  for await (const update of updates) {
    if (update.type === 'leased') by = update.lease;
    if (update.type === 'text') parts.push(update.text);
    if (update.type === 'committed' && linesOf(parts.join(''), texts, dimensions) === null) {
      if (by !== null) suspect(by.tab, by.class, 'no_vectors');
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
