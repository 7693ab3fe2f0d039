import { type AnswerChain, firstFalseBlock } from './digest-chain.ts';
import type { Verdict } from './verdict.ts';

/** What one completed re-execution says of an answer. */
export interface Finding {
  /** First block that differs; null when the two answers are the same to the byte. */
  readonly falseBlock: number | null;
  /** Head of the checker's own chain: equal heads are equal answers. */
  readonly head: string;
  /** Cosine of the two answers' embeddings; null where nothing can be said. It is shown, and decides nothing. */
  readonly cosine: number | null;
}

/** Two chains of one exact class, the same prompt and sampling: equal means the same answer to the byte. */
export function findingOf(claimed: AnswerChain, recomputed: AnswerChain, similarity: number | null): Finding {
  return {
    falseBlock: firstFalseBlock(claimed, recomputed),
    head: recomputed.head,
    // Four digits: enough for a reader, and the same text on every machine although float32 sums may differ in the last bits.
    cosine: similarity === null ? null : Math.round(similarity * 10_000) / 10_000,
  };
}

interface Sides {
  readonly agree: readonly Finding[];
  /** The largest group of those that found one and the same other answer. */
  readonly against: readonly Finding[];
}

function sidesOf(findings: readonly Finding[]): Sides {
  const groups = new Map<string, Finding[]>();
  for (const finding of findings) {
    if (finding.falseBlock === null) continue;
    groups.set(finding.head, [...(groups.get(finding.head) ?? []), finding]);
  }
  const [against] = [...groups.values()].sort((a, b) => b.length - a.length);
  return { agree: findings.filter(({ falseBlock }) => falseBlock === null), against: against ?? [] };
}

/**
 * Whether one execution more is wanted: as many say one thing as another, the answer itself being one voice; or nobody disagrees yet, and fewer
 * agree than were `wanted`.
 */
export function wantsMore(findings: readonly Finding[], wanted: number): boolean {
  const { agree, against } = sidesOf(findings);
  if (agree.length === findings.length) return agree.length < wanted;
  return agree.length + 1 === against.length;
}

/** The verdict of the completed executions, at least one. A majority decides; a tie is `disputed`. */
export function verdictOf(claimed: AnswerChain, findings: readonly Finding[]): Verdict {
  const { agree, against } = sidesOf(findings);
  const voices = { agree: agree.length, differ: findings.length - agree.length };
  const [first] = against;
  if (first?.falseBlock == null || agree.length + 1 > against.length) {
    const blocks = claimed.blocks.length + 1;
    const cosine = agree[0]?.cosine ?? null;
    return { value: 'valid', method: 'exact-re-execution', blocks, ...voices, cosine };
  }
  const value = against.length > agree.length + 1 ? 'invalid' : 'disputed';
  return { value, method: 'exact-re-execution', falseBlock: first.falseBlock, ...voices, cosine: first.cosine };
}
