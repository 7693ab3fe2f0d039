import { sureOf } from '../../shared/checking/verdict.ts';
import { pickedOf, type Turn } from './exchange.ts';

const HOW_SURE = {
  verified: 'verified: another tab wrote the same',
  likely: 'likely: another tab read it',
  unverified: 'not verified',
  disputed: 'in dispute',
  refuted: 'wrong',
} as const;

/** The conversation as a person reads it. */
export function asMarkdown(title: string, turns: readonly Turn[]): string {
  const parts = turns.map((turn) => {
    const picked = pickedOf(turn);
    const said = turn.question
      .split('\n')
      .map((line) => `> ${line}`)
      .join('\n');
    if (picked === undefined) return said;
    const model = picked.request?.model ?? 'no model';
    const facts = `*${model} · ${HOW_SURE[sureOf(picked.verdict)]}${picked.task === null ? '' : ` · ${picked.task}`}*`;
    return `${said}\n\n${picked.answer === '' ? `(${picked.note})` : picked.answer}\n\n${facts}`;
  });
  return `# ${title}\n\n${parts.join('\n\n---\n\n')}\n`;
}

/** The conversation with everything that the page knows of it, receipts and transcripts too. */
export function asJson(title: string, turns: readonly Turn[]): string {
  return JSON.stringify({ format: 'shoal-conversation', version: 1, title, turns }, null, 2);
}
