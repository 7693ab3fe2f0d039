import type { Lie, Means } from './lie.ts';
import { engineThatWrites, textOf, withText } from './written-answer.ts';

/** Answers with what was written for somebody else, and honestly while there is nothing to repeat. */
function repeated(what: (means: Means, by: symbol) => string | null): Lie {
  return {
    work: (means) => {
      const { claimed, accomplices } = means;
      const me = Symbol('tab');
      return {
        renderer: claimed.renderer,
        engine: engineThatWrites(claimed.engine, async (request, signal) => {
          const answer = await claimed.write(request, signal);
          const old = what(means, me);
          accomplices.wrote(me, textOf(answer));
          return old === null ? answer : withText(answer, old);
        }),
      };
    },
  };
}

/** What this tab should have answered to its task before. */
export const oldAnswer = repeated(({ accomplices }, me) => accomplices.ownLast(me));

/** What another tab of the page was asked by another client. */
export const anotherClients = repeated(({ accomplices }, me) => accomplices.othersLast(me));
