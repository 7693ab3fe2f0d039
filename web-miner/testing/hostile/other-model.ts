import type { Lie, LoadedWork } from './lie.ts';
import { engineThatWrites } from './written-answer.ts';

function ranBy(work: LoadedWork | null): Pick<LoadedWork, 'engine' | 'renderer'> {
  if (work === null) throw new Error('the page has not loaded the model that this lie needs');
  return { engine: engineThatWrites(work.engine, work.write), renderer: work.renderer };
}

/** A coarser quantization under the class of the better one. */
export const coarser: Lie = { work: (means) => ranBy(means.coarser) };

/** Another model, with its own template, under the claimed class. */
export const anotherModel: Lie = { work: (means) => ranBy(means.other) };
