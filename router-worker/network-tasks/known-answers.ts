import type { FinishReason } from '../../shared/checking/digest-chain.ts';
import type { Question } from './questions.ts';

/** A question whose answer in this class is known to the byte. */
export interface KnownAnswer {
  readonly question: Question;
  readonly text: string;
  readonly finish: FinishReason;
  /** Only tabs have said so, and no guard: whoever contradicts it is in dispute with them, and not refuted. */
  readonly isDoubtful?: true;
}

/** Answers that are remembered of a class, and how often one is asked for again: whoever has several tabs would notice. */
const MAX_LEARNT = 64;
const MAX_USES = 3;

/** Share of the questions that are published ones: they prove that a device computes rightly, and nothing about who runs it. */
const PUBLISHED_SHARE = 0.3;

/**
 * What the network knows the answer to: the published answers of the shipped models, made on a machine that was trusted, and answers that several
 * tabs were seen to agree on. Those are forgotten with the pool's memory.
 */
export class KnownAnswers {
  readonly #published: ReadonlyMap<string, readonly KnownAnswer[]>;
  readonly #learnt = new Map<string, { readonly known: KnownAnswer; uses: number }[]>();

  /** By class. */
  constructor(published: ReadonlyMap<string, readonly KnownAnswer[]>) {
    this.#published = published;
  }

  /** Whether there is something to ask a tab whom nobody could check. */
  has(classId: string): boolean {
    return (this.#published.get(classId)?.length ?? 0) + (this.#learnt.get(classId)?.length ?? 0) > 0;
  }

  /** One to ask for; null when a new question is better. `canCheck`: somebody is there who could check the answer to that. */
  take(classId: string, canCheck: boolean, random: () => number): KnownAnswer | null {
    const published = this.#published.get(classId) ?? [];
    if (published.length > 0 && (!canCheck || random() < PUBLISHED_SHARE)) {
      return published[Math.floor(random() * published.length)] ?? null;
    }
    const learnt = this.#learnt.get(classId) ?? [];
    const at = Math.floor(random() * learnt.length);
    const one = learnt[at];
    if (one === undefined) return null;
    if (++one.uses >= MAX_USES) learnt.splice(at, 1);
    return one.known;
  }

  learn(classId: string, known: KnownAnswer): void {
    const learnt = this.#learnt.get(classId) ?? [];
    if (learnt.length >= MAX_LEARNT) learnt.shift();
    learnt.push({ known, uses: 0 });
    this.#learnt.set(classId, learnt);
  }
}
