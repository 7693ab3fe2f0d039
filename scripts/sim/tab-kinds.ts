import type { Standing } from '../../router-worker/record/record.ts';

/**
 * Kinds of tabs, each with one way of being honest or not. What no kind can do here: agree as a checker without working. Before it is shown
 * anything it is bound to a chain that only the answer yields, so "always yes", or an embedding of the prompt, is not among its moves; it can
 * lie, stay silent, or be told the lie by an accomplice.
 */
export const KINDS = {
  honest: 'does what it should; loses one check of a hundred to a closed lid',
  broken: 'honest, on a device that computes one answer of five wrong without knowing',
  cheat: 'answers everything with something cheap',
  'cheat-1-in-20': 'once trusted, cheats in one answer of twenty',
  sleeper: 'is honest for 200 answers, then cheats until it is caught, and again',
  'rush-hour':
    'once trusted, cheats whenever tabs are so short that only its record decides about checks, as if it knew',
  'large-only': 'once trusted, cheats in answers of twice the usual size or more, where it saves most',
  curt: 'once trusted, cheats whenever tabs are short, and in so few words that its answers are checked as seldom as any',
  leaver:
    'is honest until the last rush of the run, then cheats, and is gone when it is caught: it has nothing more to lose',
  whitewasher: 'once trusted, cheats until it is caught, and comes back under a new key',
  'lazy-checker': 'answers honestly, never delivers a check',
  contrarian: 'answers honestly, says something else in every check',
  'pair-together':
    'two behind one network: once trusted, cheat in one answer of twenty, back each other, slander one answer of twenty that they check',
  'pair-apart': 'the same, behind two networks',
  'trio-together': 'three behind one network, the same',
  'trio-apart': 'the same, behind three networks',
  strangers:
    'three new keys behind three networks that answer honestly, and say one and the same lie about every other answer that they check',
} as const;

export type Kind = keyof typeof KINDS;

export const ALL_KINDS = Object.keys(KINDS) as Kind[];
export const ATTACKS: readonly Kind[] = ALL_KINDS.filter((kind) => kind !== 'honest' && kind !== 'broken');

/** Tabs that act as one. */
export function groupSizeOf(kind: Kind): number {
  if (kind.startsWith('pair')) return 2;
  return kind.startsWith('trio') || kind === 'strangers' ? 3 : 1;
}

const HONEST_MISS_SHARE = 0.01;
const BROKEN_SHARE = 0.2;
const RARE_SHARE = 0.05;
const SLEEPER_ANSWERS = 200;
const LARGE_SIZE = 2;

/** A chain of digests, as far as it matters: the true one, a lie that only its author tells, or the lie of a group. */
export type Told = 'true' | 'own_lie' | 'group_lie';

export interface ToldBy {
  readonly kind: Kind;
  readonly standing: Standing;
  /** Answers since the identity began, or since its last quarantine. */
  readonly answersSinceCaught: number;
}

/** What a tab sees of a task, or guesses. */
export interface Seen {
  /** The work of the task over that of the mean task. */
  readonly size: number;
  readonly isBusy: boolean;
  readonly isLastRush: boolean;
}

/** What a tab answers. */
export function answerOf({ kind, standing, answersSinceCaught }: ToldBy, seen: Seen, random: () => number): Told {
  switch (kind) {
    case 'honest':
    case 'lazy-checker':
    case 'contrarian':
    case 'strangers':
      return 'true';
    case 'broken':
      return random() < BROKEN_SHARE ? 'own_lie' : 'true';
    case 'cheat':
      return 'own_lie';
    case 'sleeper':
      return answersSinceCaught >= SLEEPER_ANSWERS ? 'own_lie' : 'true';
  }
  if (standing !== 'trusted') return 'true';
  switch (kind) {
    case 'whitewasher':
      return 'own_lie';
    case 'rush-hour':
    case 'curt':
      return seen.isBusy ? 'own_lie' : 'true';
    case 'leaver':
      return seen.isLastRush ? 'own_lie' : 'true';
    case 'large-only':
      return seen.size >= LARGE_SIZE ? 'own_lie' : 'true';
    case 'cheat-1-in-20':
      return random() < RARE_SHARE ? 'own_lie' : 'true';
    default:
      return random() < RARE_SHARE ? 'group_lie' : 'true';
  }
}

/** What a group has to do with the answer that one of it checks. */
export type Involved = 'lied' | 'slanders' | 'stays_out';

/** Whether a group agrees to slander an answer: all of it decide the same for one task. `draw`: 0 … 1, the same for the whole task. */
export function slanders(kind: Kind, standing: Standing, draw: number): boolean {
  return kind === 'strangers' || (standing === 'trusted' && draw < RARE_SHARE);
}

/** What a tab says as a checker; null when it delivers nothing. */
export function checkOf(kind: Kind, involved: Involved, random: () => number): Told | null {
  switch (kind) {
    case 'honest':
      return random() < HONEST_MISS_SHARE ? null : 'true';
    case 'broken':
      return random() < BROKEN_SHARE ? 'own_lie' : 'true';
    case 'cheat':
    case 'contrarian':
      return 'own_lie';
    case 'lazy-checker':
      return null;
    case 'cheat-1-in-20':
    case 'sleeper':
    case 'rush-hour':
    case 'curt':
    case 'large-only':
    case 'leaver':
    case 'whitewasher':
      return 'true';
    default:
      return involved === 'stays_out' ? 'true' : 'group_lie';
  }
}

/** What a lie costs of the work that honesty would cost. A broken device works as hard as any. */
export function workShareOf(kind: Kind, told: Told): number {
  return told === 'true' || kind === 'broken' ? 1 : 0.1;
}

const CURT_SHARE = 0.1;

/** Length of what is written, over that of the true answer. */
export function lengthShareOf(kind: Kind, told: Told): number {
  return kind === 'curt' && told !== 'true' ? CURT_SHARE : 1;
}
