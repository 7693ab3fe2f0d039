/** What the choice of a tab knows of it. */
export interface Candidate {
  readonly tab: string;
  readonly class: string;
  /** Leases that the tab works on now. */
  readonly load: number;
  /** Tokens per second, as the pool measured them last; null before the first answer. */
  readonly decodeSpeed: number | null;
  /** By its record: 0 is asked first. */
  readonly rank: number;
  /** It missed a deadline not long ago. */
  readonly isResting: boolean;
}

export interface Wanted {
  readonly classes: readonly string[];
  /** The tab that the client has a link to: taken when it is free, and not under suspicion while another is not. */
  readonly prefer: string | null;
  /** The only tab that is meant; null: any. */
  readonly only: string | null;
}

export type Choice =
  | { readonly tab: string; readonly class: string }
  | { readonly tab: null; readonly why: 'nobody_serves' | 'all_busy' };

/** One engine runs one answer at a time: a second one would share its cores, so both would come at half the speed. */
export const MAX_LEASES_PER_TAB = 1;

/** A link to a tab that is new is worth more than another's record; one to a tab under suspicion is not. */
const LAST_PREFERRED_RANK = 1;

/** Speed assumed of a tab that has not answered yet, tokens per second: low, so that proven tabs go first. */
const UNPROVEN_SPEED = 1;

/** Which tab serves, or why none. `draw`, 0 … 1, breaks ties, so that equal tabs share the work. */
export function chooseTab(candidates: readonly Candidate[], wanted: Wanted, draw: number): Choice {
  const able = candidates.filter(
    (candidate) => wanted.classes.includes(candidate.class) && (wanted.only ?? candidate.tab) === candidate.tab,
  );
  if (able.length === 0) return { tab: null, why: 'nobody_serves' };
  // A request rather waits for a tab that is known to work than goes to one that was just lost sight of.
  const rested = able.filter((candidate) => !candidate.isResting);
  const serving = rested.length > 0 ? rested : able;
  const free = serving.filter((candidate) => candidate.load < MAX_LEASES_PER_TAB);
  if (free.length === 0) return { tab: null, why: 'all_busy' };
  const first = Math.min(...free.map(({ rank }) => rank));
  const preferred = free.find((candidate) => candidate.tab === wanted.prefer);
  if (preferred !== undefined && preferred.rank <= Math.max(first, LAST_PREFERRED_RANK)) return chosen(preferred);
  const proven = free.filter(({ rank }) => rank === first);
  const fastest = Math.max(...proven.map(speedOf));
  // Tabs within a fifth of the fastest are equals: a finer order would send everything to one of them.
  const equals = proven.filter((candidate) => speedOf(candidate) >= 0.8 * fastest);
  const drawn = equals[Math.min(equals.length - 1, Math.floor(draw * equals.length))];
  return drawn === undefined ? { tab: null, why: 'all_busy' } : chosen(drawn);
}

function chosen({ tab, class: id }: Candidate): Choice {
  return { tab, class: id };
}

function speedOf(candidate: Candidate): number {
  return candidate.decodeSpeed ?? UNPROVEN_SPEED;
}
