import { MAX_CANDIDATES } from '../../shared/limits.ts';

/** What the choice of candidates asks about a tab that is able to check. */
export interface Fitness<T> {
  /** It missed a deadline not long ago. */
  isResting(tab: T): boolean;
  isFree(tab: T): boolean;
  /** By its record, or as a guard. */
  isTrusted(tab: T): boolean;
}

/** A checker, one to settle a dispute, and one in place of either. */
export const ENOUGH_FREE = 3;

/**
 * Who is named to the draw, of the tabs that are able to check: free and trusted ones, as long as there are enough to settle a dispute; resting ones when
 * there is nobody else. At most {@link MAX_CANDIDATES}, each as likely as another, in no order.
 */
export function nameCandidates<T>(able: readonly T[], fitness: Fitness<T>, random: () => number): T[] {
  const rested = able.filter((tab) => !fitness.isResting(tab));
  const fit = rested.length > 0 ? rested : able;
  const free = fit.filter((tab) => fitness.isFree(tab));
  const near = free.length >= ENOUGH_FREE ? free : fit;
  const trusted = near.filter((tab) => fitness.isTrusted(tab));
  return sampleOf(trusted.length >= ENOUGH_FREE ? trusted : near, MAX_CANDIDATES, random);
}

/**
 * The same, with whoever is apart from the tab that answered before all others: those that are not are named beside them only where too few are to settle a dispute.
 */
export function nameApartFirst<T>(
  able: readonly T[],
  isApart: (tab: T) => boolean,
  fitness: Fitness<T>,
  random: () => number,
): T[] {
  const apart = nameCandidates(able.filter(isApart), fitness, random);
  if (apart.length >= ENOUGH_FREE) return apart;
  const near = nameCandidates(
    able.filter((tab) => !isApart(tab)),
    fitness,
    random,
  );
  return [...apart, ...near].slice(0, MAX_CANDIDATES);
}

/** At most so many of them, each as likely as another. */
export function sampleOf<T>(all: readonly T[], most: number, random: () => number): T[] {
  const sample = [...all];
  // The first places of a shuffle, after Fisher and Yates.
  for (let place = 0; sample.length > most && place < most; place++) {
    const drawn = place + Math.floor(random() * (sample.length - place));
    const [here, there] = [sample[place], sample[drawn]];
    if (here === undefined || there === undefined) continue;
    sample[place] = there;
    sample[drawn] = here;
  }
  return sample.slice(0, most);
}
