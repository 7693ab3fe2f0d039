import { ENOUGH_FREE } from '../pool/name-candidates.ts';

/** Tabs of the class beside the one that is asked. */
export interface Provers {
  readonly serving: number;
  readonly trusted: number;
  /** Trusted ones without work. */
  readonly freeTrusted: number;
}

/**
 * Whether somebody can prove the answer to a new question: anybody while nobody is trusted; from then on a trusted tab, and the draw of checkers is sure to
 * take one only where enough of them are free. Asked all the same, a tab works for nothing, and is left alone for up to an hour: then the first few
 * trusted tabs of a network are the last ones for a day.
 */
export function canBeProven({ serving, trusted, freeTrusted }: Provers): boolean {
  return trusted === 0 ? serving > 0 : freeTrusted >= ENOUGH_FREE;
}
