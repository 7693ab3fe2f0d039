import { rewritten } from './rewritten-answer.ts';

/** Tokens that are said again and again. */
const LOOP = 4;

/** A few true tokens, said again until the answer is as long as it should be. */
export const looping = rewritten((answer) => ({
  ...answer,
  pieces: answer.pieces.map((piece, index) => answer.pieces[index % LOOP] ?? piece),
}));
