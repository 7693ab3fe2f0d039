/**
 * A grammar (llama.cpp's GBNF) that allows this text alone, however the model cuts it into tokens. Control characters are written as escapes: GBNF knows
 * no raw line break inside a literal.
 */
export function literalGrammar(text: string): string {
  const escaped = [...text].map((character) => {
    if (character === '"' || character === '\\') return `\\${character}`;
    const code = character.codePointAt(0) ?? 0;
    return code < 0x20 || code === 0x7f ? `\\x${code.toString(16).padStart(2, '0')}` : character;
  });
  return `root ::= "${escaped.join('')}"`;
}
