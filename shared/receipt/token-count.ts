import { exactFinding } from '../checking/tally.ts';
import { parsePayload } from '../signing/signed-statement.ts';
import type { Receipt } from './receipt.ts';
import { answerCommit, checkReveal } from './statements.ts';

/** Tokens of an answer: what its tab claims, and what those found who wrote the same answer again. */
export interface TokenCount {
  readonly claimed: number;
  /** The most common count of the checks that agree, the lower one of two that are as common; null when nobody agrees. */
  readonly recounted: number | null;
  /** What counts: the lower of the two. */
  readonly counted: number;
}

/**
 * The counts of a receipt that was verified before; null when no tab committed to an answer. The chain says nothing of tokens, and a tab may claim as
 * many as it likes: so no count is worth more than the checkers' own.
 */
export function tokenCountOf(
  receipt: Pick<Receipt, 'commit' | 'checks'>,
): { readonly prompt: TokenCount; readonly completion: TokenCount } | null {
  if (receipt.commit === null) return null;
  const commit = parsePayload('commit', answerCommit, receipt.commit);
  const agreeing = receipt.checks.flatMap(({ reveal, method }) => {
    if (reveal === null) return [];
    const opened = parsePayload('check-reveal', checkReveal, reveal);
    if (method !== 'exact-re-execution' || opened.form !== 'written') return [];
    return exactFinding(commit.chain, opened.chain, null).falseBlock === null ? [opened.tokens] : [];
  });
  const countOf = (part: 'prompt' | 'completion'): TokenCount => {
    const claimed = commit.tokens[part];
    const recounted = mostCommon(agreeing.map((tokens) => tokens[part]));
    return { claimed, recounted, counted: Math.min(claimed, recounted ?? claimed) };
  };
  return { prompt: countOf('prompt'), completion: countOf('completion') };
}

function mostCommon(values: readonly number[]): number | null {
  const times = new Map<number, number>();
  for (const value of values) times.set(value, (times.get(value) ?? 0) + 1);
  return [...times].sort(([a, x], [b, y]) => y - x || a - b)[0]?.[0] ?? null;
}
