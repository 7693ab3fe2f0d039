import { rewritten } from './rewritten-answer.ts';

/** Tokens that are claimed for each one written. */
const PADDING = 3;

/** The right text, and three times the tokens that it took. */
export const paddedCounts = rewritten((answer) => ({ ...answer, completionTokens: answer.completionTokens * PADDING }));
