import type { FinishedTask } from './finished-task.ts';

/** Counts of one minute or hour. Persisted: fields may be added, never repurposed. */
export interface Figures {
  /** Answers, and tasks that ended without one. */
  readonly answers: number;
  readonly unanswered: number;
  readonly tokens: number;
  /** How sure the network is of the answers. */
  readonly verified: number;
  readonly likely: number;
  readonly unverified: number;
  readonly disputed: number;
  readonly refuted: number;
  /** Checked answers, by how far the most independent checker was. */
  readonly byKey: number;
  readonly byOwner: number;
  readonly byNetwork: number;
  /** Bytes of answers by each way. */
  readonly relayBytes: number;
  readonly directBytes: number;
  /** Looks at the pool, and sums over them: their mean is what was there. */
  readonly samples: number;
  readonly tabs: number;
  readonly free: number;
  readonly waiting: number;
}

export const NOTHING: Figures = {
  answers: 0,
  unanswered: 0,
  tokens: 0,
  verified: 0,
  likely: 0,
  unverified: 0,
  disputed: 0,
  refuted: 0,
  byKey: 0,
  byOwner: 0,
  byNetwork: 0,
  relayBytes: 0,
  directBytes: 0,
  samples: 0,
  tabs: 0,
  free: 0,
  waiting: 0,
};

export function sumOf(a: Figures, b: Figures): Figures {
  const names = Object.keys(NOTHING) as (keyof Figures)[];
  return Object.fromEntries(names.map((name) => [name, (a[name] ?? 0) + (b[name] ?? 0)])) as unknown as Figures;
}

const GRADE = { key: 'byKey', owner: 'byOwner', network: 'byNetwork' } as const;

/** A task without an answer counts for nothing else: there was nothing to be sure of. */
export function figuresOf({ answered, sure, independence, tokens, relayBytes, directBytes }: FinishedTask): Figures {
  if (!answered) return { ...NOTHING, unanswered: 1 };
  return {
    ...NOTHING,
    answers: 1,
    tokens,
    relayBytes,
    directBytes,
    [sure]: 1,
    ...(independence !== null && { [GRADE[independence]]: 1 }),
  };
}
