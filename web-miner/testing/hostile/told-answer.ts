import type { Lie } from './lie.ts';
import { engineThatWrites } from './written-answer.ts';

/** Runs no model: the tab that answers tells it what it wrote, and what it wrote is true. */
export const toldAnswer: Lie = {
  work: ({ claimed }) => ({
    renderer: claimed.renderer,
    engine: engineThatWrites(claimed.engine, claimed.write),
  }),
};
