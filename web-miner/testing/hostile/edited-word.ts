import { chosenBy, type Rewrite, rewritten } from './rewritten-answer.ts';
import { textOf, withText } from './written-answer.ts';

/** One token gives way to another one that the model wrote in the same answer; a letter is changed in an answer of one token. */
export const editToken: Rewrite = (answer, request) => {
  const at = chosenBy(request, answer.pieces.length);
  const before = answer.pieces[at];
  if (before === undefined) return answer;
  const other = answer.pieces.find(({ text }) => text !== before.text)?.text ?? `${before.text}x`;
  return { ...answer, pieces: answer.pieces.map((piece, index) => (index === at ? { ...piece, text: other } : piece)) };
};
export const tokenEdited = rewritten(editToken);

/** One digit is another one. An answer without a digit stays as it is. */
export const numberEdited = rewritten((answer) => {
  const text = textOf(answer).replace(/\d/, (digit) => String((Number(digit) + 1) % 10));
  return withText(answer, text);
});

/** One capitalised word that does not begin the answer is another name. An answer without one stays as it is. */
export const nameEdited = rewritten((answer) => {
  const text = textOf(answer).replace(/(?<=\S\s)[A-Z][a-z]+/, (name) => (name === 'Quinn' ? 'Robin' : 'Quinn'));
  return withText(answer, text);
});
