import { rewritten } from './rewritten-answer.ts';

/** The right answer, remembered: it is there before any engine could have read the prompt. */
export const instant = rewritten((answer) => answer);
