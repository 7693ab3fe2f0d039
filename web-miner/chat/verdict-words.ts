import type { Verdict } from '../../shared/checking/verdict.ts';
import { CHAIN_BLOCK_BYTES } from '../../shared/limits.ts';
import type { Exchange } from './exchange.ts';

export interface VerdictWords {
  readonly tone: 'valid' | 'invalid' | 'unchecked';
  readonly text: string;
}

/** A verdict as a person reads it. */
export function verdictWords(verdict: Verdict, cosine: number | null): VerdictWords {
  const measured = cosine === null ? '' : `cosine ${cosine.toFixed(2)}`;
  switch (verdict.value) {
    case 'valid':
      if (verdict.method !== 'exact-re-execution') {
        const text = `Likely: read by ${tabs(verdict.agree)} with the same weights, and it may well be what the model writes. That is no proof`;
        return { tone: 'valid', text };
      }
      return {
        tone: 'valid',
        text: `Checked: ${tabs(verdict.agree)} wrote the same, to the byte`,
      };
    case 'invalid': {
      const text = `Wrong: ${verdict.falseBlock === 0 ? '' : 'from the marked line on, '}this is not what the model writes; ${verdict.differ} tabs agree on that`;
      return { tone: 'invalid', text };
    }
    case 'disputed': {
      const text =
        verdict.method === 'exact-re-execution'
          ? `In dispute: ${verdict.falseBlock === 0 ? '' : 'from the marked line on, '}another tab wrote something else, and nobody was left to decide`
          : `In dispute: ${tabs(verdict.differ)} read it with the same weights, and it is hardly what the model writes`;
      return { tone: 'invalid', text };
    }
    case 'inconclusive':
      return {
        tone: 'unchecked',
        text:
          verdict.method === 'forced-decode'
            ? 'Not checked: its text could not be read'
            : `Compared with another variant of the model only${measured === '' ? '' : `: ${measured}`}. That tells what it is about, not whether it is right`,
      };
    case 'unchecked':
      return { tone: 'unchecked', text: `Not checked: ${UNCHECKED[verdict.reason]}` };
  }
}

function tabs(count: number): string {
  return count === 1 ? 'another tab' : `${count} other tabs`;
}

const UNCHECKED: Record<Extract<Verdict, { value: 'unchecked' }>['reason'], string> = {
  not_asked: 'no check was asked for',
  not_sampled: 'this answer was not among those that are checked afterwards',
  nobody_fit: 'no other tab of the same kind was there',
  client_gone: 'this page was away when the check was drawn',
  checker_lost: 'the checking tab went away',
  checker_refused: 'the check itself did not hold',
  no_answer: 'there was no whole answer',
};

/**
 * Characters from the beginning of the answer that other executions wrote to the byte: all of it where it was verified, up to the first false block where it was not. Null
 * where nobody ran it again.
 */
export function verifiedLength({ answer, verdict }: Pick<Exchange, 'answer' | 'verdict'>): number | null {
  if (verdict === null || verdict.value === 'unchecked' || verdict.method !== 'exact-re-execution') return null;
  if (verdict.value === 'valid') return answer.length;
  if (verdict.falseBlock === null) return null;
  const bytes = new TextEncoder().encode(answer).subarray(0, verdict.falseBlock * CHAIN_BLOCK_BYTES);
  // A character that the border cuts is not verified.
  return new TextDecoder().decode(bytes).replace(/\uFFFD$/, '').length;
}
