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
  /** Whether the tabs that answer are in the near class: those that check then read. */
  readonly isNear?: boolean;
  /** The operator's tabs that check, beside the others. */
  readonly guards?: number;
}

/**
 * - `answer`: the answer is a lie; it must be found out by its first check.
 * - `refused`: the client must refuse what comes.
 * - `true-answer`: the bytes are right and something else is not.
 * - `checker`: the answer is true, and a checker lies.
 * - `collusion`: the tab that answers and its checkers agree on a lie.
 * - `sequence`: one tab lies now and then; counted until it is found out.
 * - `read`: the answer is of a near class, and a lie; honest tabs read it.
 * - `read-honest`: no lie at all, counted beside them.
 * - `reader`: the answer is of a near class and honest; a tab that reads it lies.
 * - `idle`: nobody asks; the network's own tasks are to find who answers or checks falsely.
 */
export type AttackKind =
  | 'answer'
  | 'refused'
  | 'true-answer'
  | 'checker'
  | 'collusion'
  | 'sequence'
  | 'read'
  | 'read-honest'
  | 'reader'
  | 'idle';

export interface Attack {
  readonly name: string;
  readonly what: string;
  readonly kind: AttackKind;
  readonly cast: Cast;
  readonly checks: 1 | 2 | 3;
  /** Requests at most, whatever was asked for: some attacks run into deadlines. */
  readonly most: number;
  /** Tokens of an answer at least, whatever was asked for. */
  readonly leastTokens: number;
  /** The hostile page needs this model beside the claimed one. */
  readonly needs: 'coarser' | 'other' | null;
}

/** Requests of an attack that is no lie in an answer: enough for shares, and each of its answers costs the model three runs. */
const MOST_OTHERS = 100;

/** Blind guesses are scored from two cuts on: fewer tokens than this have hardly so many. */
const READER_TOKENS = 48;

/** Deadlines of many seconds each. */
const MOST_SILENT = 6;

/** Identities that the network's own tasks are let loose on: each takes a minute or so. */
const MOST_IDLE = 10;

/** The other model may be a hundred times slower than the claimed one. */
const MOST_OTHER_MODEL = 60;

/** As many requests as are asked for. */
const OFTEN: readonly AttackKind[] = ['answer', 'sequence', 'read', 'read-honest'];

function attack(kind: AttackKind, name: string, what: string, cast: Cast, part: Partial<Attack> = {}): Attack {
  const most = OFTEN.includes(kind) ? Number.POSITIVE_INFINITY : MOST_OTHERS;
  return { name, what, kind, cast, checks: 1, most, leastTokens: 0, needs: null, ...part };
}

/** Two honest checkers: one finds the lie, the other one settles it. */
const lone = (answering: LieName): Cast => ({ answering, checking: [], honest: 2 });
const among = (...checking: readonly LieName[]): Cast => ({ answering: null, checking, honest: 2 });

/** An answer of a near class, read by honest tabs of the exact one. */
const read = (answering: LieName | null, ...checking: readonly LieName[]): Cast => ({
  answering,
  checking,
  honest: 2,
  isNear: true,
});

function reader(name: string, what: string, lie: readonly LieName[], part: Partial<Attack> = {}): Attack {
  return attack('reader', name, what, read(null, ...lie), { leastTokens: READER_TOKENS, ...part });
}

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
  attack('collusion', 'pair-guard', 'the pair of before, and a guard beside the two honest checkers', {
    answering: 'token-edited',
    checking: ['token-edited'],
    honest: 2,
    guards: 1,
  }),
  attack('collusion', 'trio-guard', 'the trio of before, and a guard beside the two honest checkers', {
    answering: 'token-edited',
    checking: ['token-edited', 'token-edited'],
    honest: 2,
    guards: 1,
  }),
  attack('collusion', 'trio-guards', 'the same trio, and three guards', {
    answering: 'token-edited',
    checking: ['token-edited', 'token-edited'],
    honest: 2,
    guards: 3,
  }),
  attack('sequence', 'one-in-twenty', 'lies in one answer of twenty', lone('one-in-twenty')),
  attack('sequence', 'sleeper', '200 honest answers, then lies', lone('sleeper')),
  attack('sequence', 'new-identity', 'lies, and is another tab after each offence', lone('token-edited')),
  attack('read-honest', 'read-honest', 'no lie: honest answers of the near class', read(null)),
  attack('read', 'read-garbage', 'syllables without sense', read('garbage')),
  attack('read', 'read-prompt-ignored', 'the answer to another prompt, always the same', read('prompt-ignored')),
  attack('read', 'read-hidden-system', 'an advertising instruction before the conversation', read('hidden-system')),
  attack('read', 'read-another-model', 'another model under the claimed class', read('another-model'), {
    needs: 'other',
    most: MOST_OTHER_MODEL,
  }),
  attack('read', 'read-coarser', 'a coarser quantization under the claimed class', read('coarser'), {
    needs: 'coarser',
  }),
  attack('read', 'read-cooler', 'a lower temperature than the lease says', read('cooler')),
  attack('read', 'read-own-seed', 'a seed of its own', read('own-seed')),
  attack('read', 'read-token-edited', 'one token is another one', read('token-edited')),
  attack('read', 'read-number-edited', 'one digit is another one', read('number-edited')),
  attack('read', 'read-name-edited', 'one name is another one', read('name-edited')),
  attack('read', 'read-advertisement', 'the right answer and a paid sentence', read('advertisement')),
  attack('read', 'read-truncated', 'the first 40 %, passed off as whole', read('truncated')),
  attack('read', 'read-looping', 'four tokens, again and again', read('looping')),
  attack('read', 'read-old-answer', 'what it should have answered to its task before', read('old-answer')),
  attack('read', 'read-another-clients', 'what another client’s task was answered with', read('another-clients')),
  attack(
    'read',
    'read-pair',
    'one token edited, and one of three readers is a friend that always says yes',
    read('token-edited', 'reads-yes-by-guesses'),
    { most: MOST_OTHERS },
  ),
  reader('reads-yes', 'runs no model, says that it fits, guesses common words', ['reads-yes']),
  reader('reads-yes-by-spaces', 'the same, and guesses the space that every word begins with', ['reads-yes-by-spaces']),
  reader('reads-yes-by-letters', 'the same, and guesses the letters that most words begin with', [
    'reads-yes-by-letters',
  ]),
  reader('reads-yes-by-guesses', 'runs the model for its guesses alone, and says that it fits', [
    'reads-yes-by-guesses',
  ]),
  reader('reads-no', 'runs no model, says that nothing fits', ['reads-no']),
  reader('opens-other-guesses', 'opens other guesses than it had sent', ['opens-other-guesses']),
  reader('stops-guessing', 'guesses the beginning and is silent', ['stops-guessing'], { most: MOST_SILENT }),
  reader(
    'copies-guesses',
    'signs another reader’s guess, and opens it as that one did; honest while there is none to copy',
    ['informant', 'copier'],
    {
      checks: 3,
    },
  ),
  attack(
    'idle',
    'idle-coarser-guard',
    'a device that computes with coarser weights than it says, two honest checkers and a guard',
    { answering: 'coarser', checking: [], honest: 2, guards: 1 },
    { needs: 'coarser', most: MOST_IDLE },
  ),
  attack(
    'idle',
    'idle-coarser',
    'the same device, and no guard',
    { answering: 'coarser', checking: [], honest: 2 },
    { needs: 'coarser', most: MOST_IDLE },
  ),
  attack(
    'idle',
    'idle-pair-guard',
    'two tabs that agree on a lie, two honest checkers and a guard',
    { answering: 'token-edited', checking: ['token-edited'], honest: 2, guards: 1 },
    { most: MOST_IDLE },
  ),
  attack(
    'idle',
    'idle-pair',
    'the same pair, and no guard',
    { answering: 'token-edited', checking: ['token-edited'], honest: 2 },
    { most: MOST_IDLE },
  ),
];
