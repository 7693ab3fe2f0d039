import { editToken } from './edited-word.ts';
import type { Lie } from './lie.ts';
import { chosenBy, rewritten } from './rewritten-answer.ts';
import { engineThatWrites } from './written-answer.ts';

/** Answers between two lies. */
const ONE_IN = 20;

/** Honest in 19 of 20 answers; the router cannot know which. */
export const oneInTwenty = rewritten((answer, request) =>
  chosenBy(request, ONE_IN) === 0 ? editToken(answer, request) : answer,
);

/** Honest so often, and never again. */
export function sleeper(honestAnswers: number): Lie {
  return {
    work: ({ claimed }) => {
      let given = 0;
      return {
        renderer: claimed.renderer,
        engine: engineThatWrites(claimed.engine, async (request, signal) => {
          const answer = await claimed.write(request, signal);
          return given++ < honestAnswers ? answer : editToken(answer, request);
        }),
      };
    },
  };
}
