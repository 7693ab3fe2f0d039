import { Lexer } from 'marked';

/**
 * Characters at the beginning of a text that belong to blocks which nothing that follows can change. The last block is open: a list may go on, a paragraph may become a
 * heading.
 */
export function finishedLength(source: string): number {
  const blocks = new Lexer().blockTokens(source); // What is inside of them is none of our business here.
  const last = blocks.findLastIndex(({ type }) => type !== 'space');
  const finished = blocks.slice(0, Math.max(0, last)).reduce((length, { raw }) => length + raw.length, 0);
  const whole = blocks.reduce((length, { raw }) => length + raw.length, 0);
  return whole === source.length ? finished : 0; // Where the parser changed the text, its blocks say nothing of ours.
}
