import { rewritten } from './rewritten-answer.ts';

/** Share of the answer that is given. */
const GIVEN = 0.4;

/** The beginning of the answer, passed off as a natural end. */
export const truncated = rewritten((answer) => ({
  ...answer,
  pieces: answer.pieces.slice(0, Math.ceil(answer.pieces.length * GIVEN)),
  finish: 'stop',
}));
