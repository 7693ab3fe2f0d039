import type { LieName } from '../../web-miner/testing/hostile/lies.ts';

/** Who is on the network during an attack. */
export interface Cast {
  /** The lie of the one tab that answers; null: it is honest. */
  readonly answering: LieName | null;
  /** Lies of hostile tabs that only check. */
  readonly checking: readonly LieName[];
  /** Honest tabs that only check. */
  readonly honest: number;
  /** Whether an honest tab answers beside the hostile one. */
  readonly rival?: boolean;
}

/**
 * - `answer`: the answer is a lie; it must be found out by its first check.
 * - `refused`: the client must refuse what comes.
 * - `true-answer`: the bytes are right and something else is not.
 * - `checker`: the answer is true, and a checker lies.
 * - `collusion`: the tab that answers and its checkers agree on a lie.
 * - `sequence`: one tab lies now and then; counted until it is found out.
 */
export type AttackKind = 'answer' | 'refused' | 'true-answer' | 'checker' | 'collusion' | 'sequence';

export interface Attack {
  readonly name: string;
  readonly what: string;
  readonly kind: AttackKind;
  readonly cast: Cast;
  readonly checks: 1 | 2 | 3;
  /** Requests at most, whatever was asked for: some attacks run into deadlines. */
  readonly most: number;
  /** The hostile page needs this model beside the claimed one. */
  readonly needs: 'coarser' | 'other' | null;
}

/** Requests of an attack that is no lie in an answer: enough for shares, and each of its answers costs the model three runs. */
const MOST_OTHERS = 100;

/** The other model may be a hundred times slower than the claimed one. */
const MOST_OTHER_MODEL = 60;

function attack(kind: AttackKind, name: string, what: string, cast: Cast, part: Partial<Attack> = {}): Attack {
  const most = kind === 'answer' || kind === 'sequence' ? Number.POSITIVE_INFINITY : MOST_OTHERS;
  return { name, what, kind, cast, checks: 1, most, needs: null, ...part };
}

/** Two honest checkers: one finds the lie, the other one settles it. */
const lone = (answering: LieName): Cast => ({ answering, checking: [], honest: 2 });
const among = (...checking: readonly LieName[]): Cast => ({ answering: null, checking, honest: 2 });

export const ATTACKS: readonly Attack[] = [
  attack('answer', 'garbage', 'syllables without sense', lone('garbage')),
  attack('answer', 'prompt-ignored', 'the answer to another prompt, always the same', lone('prompt-ignored')),
  attack('answer', 'hidden-system', 'an advertising instruction before the conversation', lone('hidden-system')),
  attack('answer', 'another-model', 'another model under the claimed class', lone('another-model'), {
    needs: 'other',
    most: MOST_OTHER_MODEL,
  }),
  attack('answer', 'coarser', 'a coarser quantization under the claimed class', lone('coarser'), { needs: 'coarser' }),
  attack('answer', 'cooler', 'a lower temperature than the lease says', lone('cooler')),
  attack('answer', 'own-seed', 'a seed of its own', lone('own-seed')),
  attack('answer', 'token-edited', 'one token is another one', lone('token-edited')),
  attack('answer', 'number-edited', 'one digit is another one', lone('number-edited')),
  attack('answer', 'name-edited', 'one name is another one', lone('name-edited')),
  attack('answer', 'advertisement', 'the right answer and a paid sentence', lone('advertisement')),
  attack('answer', 'truncated', 'the first 40 %, passed off as whole', lone('truncated')),
  attack('answer', 'looping', 'four tokens, again and again', lone('looping')),
  attack('answer', 'old-answer', 'what it should have answered to its task before', lone('old-answer')),
  attack('answer', 'another-clients', 'what another client’s task was answered with', lone('another-clients')),
  attack('refused', 'another-commit', 'streams one answer and signs for another', lone('another-commit')),
  attack('refused', 'replayed-commit', 'sends the signed commit of its task before', lone('replayed-commit')),
  attack('true-answer', 'padded-counts', 'three times the tokens that it wrote', lone('padded-counts')),
  attack('true-answer', 'too-fast', 'the right answer, remembered: no engine runs', {
    answering: 'instant',
    checking: [],
    honest: 2,
    rival: true,
  }),
  attack('checker', 'prompt-only', 'runs no model, takes the prompt for the answer', among('prompt-only')),
  attack('checker', 'always-yes', 'runs no model, opens to what it was shown', among('always-yes')),
  attack('checker', 'contrarian', 'changes a token of what it computed', among('token-edited')),
  attack('checker', 'opens-elsewhere', 'opens to another answer than it committed to', among('opens-elsewhere')),
  attack(
    'checker',
    'copier',
    'signs another checker’s commitment, and opens it as that one did',
    among('informant', 'copier'),
    {
      checks: 3,
    },
  ),
  attack('checker', 'never-reveals', 'commits and is silent', among('never-reveals'), { most: 12 }),
  attack('checker', 'told-answer', 'runs no model: the answering tab tells it the answer', {
    answering: 'instant',
    checking: ['told-answer'],
    honest: 2,
  }),
  attack('collusion', 'pair', 'the answering tab and one of three checkers', {
    answering: 'token-edited',
    checking: ['token-edited'],
    honest: 2,
  }),
  attack(
    'collusion',
    'pair-three-checks',
    'the same pair, three agreeing checks asked for',
    {
      answering: 'token-edited',
      checking: ['token-edited'],
      honest: 4,
    },
    { checks: 3 },
  ),
  attack('collusion', 'trio', 'the answering tab and two of four checkers', {
    answering: 'token-edited',
    checking: ['token-edited', 'token-edited'],
    honest: 2,
  }),
  attack('sequence', 'one-in-twenty', 'lies in one answer of twenty', lone('one-in-twenty')),
  attack('sequence', 'sleeper', '200 honest answers, then lies', lone('sleeper')),
  attack('sequence', 'new-identity', 'lies, and is another tab after each offence', lone('token-edited')),
];
