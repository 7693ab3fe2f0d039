import type { AuditFinding } from './start-audit.ts';

/** A finding as a person reads it, on a page or in a terminal. */
export interface ToldFinding {
  /** `good` speaks for the tab; `bad` says that something is false; `open` that nothing could be found out. */
  readonly tone: 'good' | 'bad' | 'open';
  readonly title: string;
  readonly lines: readonly string[];
  /** What was signed beside what the model writes; null where there is nothing to compare. */
  readonly passages: { readonly signed: string; readonly written: string } | null;
}

type Mismatch = Extract<AuditFinding, { readonly result: 'mismatch' }>['mismatch'];

export function tellFinding(finding: AuditFinding): ToldFinding {
  const passages = null;
  switch (finding.result) {
    case 'agrees':
      return {
        tone: 'good',
        title: 'The answer agrees to the bit.',
        lines: [
          `Written again from its prompt, all ${finding.bytes} bytes are the same (${finding.tokens} tokens, ${finding.blocks} whole blocks of the digest chain).`,
          'It is what this model writes to this prompt with these values. It does not say that the answer is true.',
        ],
        passages,
      };
    case 'differs': {
      const { block, signed, written } = finding;
      const isEnding = signed.text === written.text;
      return {
        tone: 'bad',
        title: `The answer is not what the model writes: block ${block} is the first false one.`,
        lines: [
          isEnding
            ? `The text is the same, its ending is not: the tab signed “${signed.finish}”, and it ends as “${written.finish}”.`
            : 'The tab signed another passage than the model writes at this place. A block has 64 bytes.',
        ],
        passages: { signed: signed.text, written: written.text },
      };
    }
    case 'fits':
      return {
        tone: 'good',
        title: 'The answer may well be the model’s.',
        lines: [
          `Read with the same weights, its ${finding.positions} tokens are as likely as they should be. Its class cannot be written again to the bit, so this is no proof.`,
          'It does not say that the answer is true.',
        ],
        passages,
      };
    case 'does_not_fit':
      return {
        tone: 'bad',
        title: 'The answer is hardly what the model writes.',
        lines: [
          `Read with the same weights, ${finding.failed.join(', ')} of its ${finding.positions} tokens lie beyond what honest answers show. Its class cannot be written again to the bit, so this is strong evidence and no proof.`,
        ],
        passages,
      };
    case 'unreadable':
      return {
        tone: 'open',
        title: 'This answer cannot be audited.',
        lines: [
          'Its class cannot be written again to the bit, and for this model, these values or this text nothing is known that a reading could be held against.',
        ],
        passages,
      };
    case 'mismatch':
      return {
        tone: 'bad',
        title: 'Receipt and transcript do not belong together.',
        lines: [tellMismatch(finding.mismatch)],
        passages,
      };
    case 'refused':
      return { tone: 'bad', title: 'The receipt does not hold.', lines: finding.problems, passages };
    case 'class_unknown':
      return {
        tone: 'open',
        title: 'This answer cannot be written again here.',
        lines: [
          `It was written in the class ${finding.class}: model file, engine and template that are not at hand.`,
          `At hand: ${finding.atHand.join('; ') || 'no model at all'}.`,
          'Add the model by `npm run models`, or use the release of Shoal that served it.',
        ],
        passages,
      };
  }
}

function tellMismatch(mismatch: Mismatch): string {
  switch (mismatch.match) {
    case 'other_task':
      return 'The transcript names another task than the receipt.';
    case 'no_answer':
      return `The task ended as “${mismatch.outcome}”: the tab signed no whole answer that could be compared.`;
    case 'other_terms':
      return `The request asks for ${mismatch.field} ${mismatch.asked}, and the receipt was signed for ${mismatch.signed}.`;
    case 'other_prompt':
      return 'Messages, stop strings or salt are not those that the tab signed.';
    case 'other_text':
      return `This is not the text that was signed: it differs first in block ${mismatch.block}, “${mismatch.passage}”.`;
  }
}
