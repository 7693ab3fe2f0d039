import { chosenBy, rewritten } from './rewritten-answer.ts';

const SYLLABLES = ['ka', 'lo', 'mi', 'ru', 'te', 'vo', 'zan', 'pel'];

/** Syllables without sense, as many as the model wrote tokens. */
export const garbage = rewritten((answer, request) => ({
  ...answer,
  pieces: answer.pieces.map(({ tokens }, index) => ({
    text: `${SYLLABLES[(chosenBy(request, SYLLABLES.length) + index * index) % SYLLABLES.length]} `,
    tokens,
  })),
}));
