import { describe, expect, it } from 'vitest';
import { asJson, asMarkdown } from './conversation-file.ts';
import { titleOf } from './conversation-store.ts';
import { newExchange, type Turn } from './exchange.ts';

const answered = (answer: string) => ({
  ...newExchange('q', null, true),
  answer,
  state: 'done' as const,
  task: 'task_x',
});
const TURNS: readonly Turn[] = [
  { question: 'two\nlines', answers: [answered('first'), answered('second')], picked: 1 },
  {
    question: 'fails',
    answers: [{ ...newExchange('fails', null, true), state: 'failed', note: 'No tab.' }],
    picked: 0,
  },
];

describe('an exported conversation', () => {
  it('reads as Markdown with the answers that were picked', () => {
    expect(asMarkdown('Title', TURNS)).toBe(
      '# Title\n\n> two\n> lines\n\nsecond\n\n*no model · not verified · task_x*\n\n---\n\n> fails\n\n(No tab.)\n\n*no model · not verified*\n',
    );
  });

  it('has everything as JSON', () => {
    expect(JSON.parse(asJson('Title', TURNS))).toEqual({
      format: 'shoal-conversation',
      version: 1,
      title: 'Title',
      turns: JSON.parse(JSON.stringify(TURNS)),
    });
  });

  it('is called by how it begins', () => {
    expect(titleOf(TURNS)).toBe('two lines');
    expect(titleOf([{ ...TURNS[0]!, question: 'x'.repeat(200) }])).toBe(`${'x'.repeat(80)}…`);
  });
});
