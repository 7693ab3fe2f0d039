import type { SentenceEmbedding } from '../../shared/checking/sentence-embedding.ts';

/** One of several answers to the same prompt, with the same pinned seed. */
export interface RedundantAnswer {
  readonly class: string;
  readonly text: string;
  readonly finish: string;
}

export interface ChosenAnswer {
  /** Which one, by its place. */
  readonly at: number;
  /**
   * `digest`: more tabs of its class wrote exactly this than anything else, which their digest chains prove. `medoid`: no two agree, or as many on one as on another;
   * it is the one that is most like all others, which proves nothing.
   */
  readonly by: 'digest' | 'medoid' | 'only';
  /** Tabs that wrote exactly the chosen answer, its own included. */
  readonly agree: number;
}

/** Which of the answers is given. `answers` is not empty. Chains are equal where class, text and finish reason are, so these are what is compared. */
export function chooseAnswer(
  answers: readonly RedundantAnswer[],
  table: Pick<SentenceEmbedding, 'embed'>,
): ChosenAnswer {
  if (answers.length === 1) return { at: 0, by: 'only', agree: 1 };
  const groups = new Map<string, number[]>();
  for (const [at, { class: id, text, finish }] of answers.entries()) {
    const key = JSON.stringify([id, finish, text]);
    groups.set(key, [...(groups.get(key) ?? []), at]);
  }
  const [first, second] = [...groups.values()].sort((a, b) => b.length - a.length);
  const [leader] = first ?? [];
  if (first !== undefined && leader !== undefined && first.length > Math.max(1, second?.length ?? 0)) {
    return { at: leader, by: 'digest', agree: first.length };
  }
  const vectors = answers.map(({ text }) => table.embed(text));
  const closeness = vectors.map((one) => vectors.reduce((sum, other) => sum + dot(one, other), 0));
  const at = closeness.indexOf(Math.max(...closeness));
  const agree = [...groups.values()].find((group) => group.includes(at))?.length ?? 1;
  return { at, by: 'medoid', agree };
}

/** Cosine of unit vectors. */
function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);
}
