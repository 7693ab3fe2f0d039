/** Methods of checking, strongest first: see `checking/rung.ts`. */
export const RUNGS = ['exact', 'statistical', 'cross-class', 'similarity'] as const;
export type Rung = (typeof RUNGS)[number];
