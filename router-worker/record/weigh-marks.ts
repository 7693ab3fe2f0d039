import type { Mark } from '../task/marks.ts';
import type { Finding } from './record.ts';

/**
 * Marks as they go on record. Nobody is refuted by tabs of whom nothing is known: three of these cost nothing, and together they outvote any honest
 * newcomer. It is a dispute then, until one with a record, a guard or a known answer tells, and who outvoted them has passed nothing. The verdict on the
 * answer stands as it is.
 */
export function weighMarks(marks: readonly Mark[], isTrusted: (mark: Mark) => boolean): Mark[] {
  const isContested = marks.some(({ outcome }) => outcome === 'refuted');
  const isProven = marks.some((mark) => mark.outcome === 'agreed' && isTrusted(mark));
  if (!isContested || isProven) return [...marks];
  return marks
    .filter(({ outcome }) => outcome !== 'agreed')
    .map((mark) => (mark.outcome === 'refuted' ? { ...mark, outcome: 'disputed' } : mark));
}

/** A mark in the words of the record; null for what says nothing. */
export function findingFor({ outcome }: Mark, byKnownAnswer: boolean): Finding | null {
  switch (outcome) {
    case 'passed':
      return null;
    case 'refuted':
      return { outcome, reason: byKnownAnswer ? 'known_answer' : 'third_execution' };
    case 'missed':
      return { outcome, reason: 'checker_lost' };
    default:
      return { outcome };
  }
}
