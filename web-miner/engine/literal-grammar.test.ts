import { describe, expect, it } from 'vitest';
import { literalGrammar } from './literal-grammar.ts';

describe('a literal grammar', () => {
  it('escapes what would end the literal or break the line, and leaves the rest as it is', () => {
    expect(literalGrammar('He said "a\\b".\n\tÜ 🐟 [x]')).toBe('root ::= "He said \\"a\\\\b\\".\\x0a\\x09Ü 🐟 [x]"');
    expect(literalGrammar('')).toBe('root ::= ""');
  });
});
