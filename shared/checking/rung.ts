import type { ClassTraits } from '../classes/class-id.ts';

/** Methods of checking, strongest first. */
export const RUNGS = ['exact', 'statistical', 'similarity'] as const;
export type Rung = (typeof RUNGS)[number];

/** What decides how an answer of one class can be checked by another. */
export interface CheckedClass {
  readonly id: string;
  /** Model of the catalogue, whatever its variant. */
  readonly model: string;
  readonly traits: Pick<ClassTraits, 'weights' | 'template' | 'renderer' | 'samplers' | 'contextTokens'>;
}

/**
 * The strongest rung that two classes allow.
 *
 * - `exact`: one class; the digest chains must be equal.
 * - `statistical`: the same weights read the same prompt, in another arithmetic; forced decodes and blind guesses.
 * - `similarity`: another form of the same model; its own answer is compared by meaning. Finds answers to another question, and little else.
 * - `null`: the classes have nothing in common that a check could stand on.
 */
export function strongestRung(answering: CheckedClass, checking: CheckedClass): Rung | null {
  if (answering.id === checking.id) return 'exact';
  const [a, b] = [answering.traits, checking.traits];
  const isSamePrompt = a.template === b.template && a.renderer === b.renderer;
  // Another context size ends long answers elsewhere, another order of samplers draws otherwise: both would look like fraud.
  const isSameLaw = a.samplers === b.samplers && a.contextTokens === b.contextTokens;
  if (a.weights === b.weights && isSamePrompt && isSameLaw) return 'statistical';
  return answering.model === checking.model ? 'similarity' : null;
}
