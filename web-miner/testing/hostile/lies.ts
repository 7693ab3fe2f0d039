import { advertisement } from './advertisement.ts';
import { copier, informant } from './copied-commitment.ts';
import { nameEdited, numberEdited, tokenEdited } from './edited-word.ts';
import { anotherCommit, replayedCommit } from './false-commit.ts';
import { garbage } from './garbage.ts';
import { instant } from './instant-answer.ts';
import { alwaysYes, neverReveals, opensElsewhere, promptOnly } from './lazy-checker.ts';
import type { Lie } from './lie.ts';
import { looping } from './looping.ts';
import {
  opensOtherGuesses,
  readsNo,
  readsYes,
  readsYesByGuesses,
  readsYesByLetters,
  readsYesBySpaces,
  stopsGuessing,
} from './lying-reader.ts';
import { anotherModel, coarser } from './other-model.ts';
import { hiddenSystem, promptIgnored } from './other-prompt.ts';
import { cooler, ownSeed } from './other-sampling.ts';
import { paddedCounts } from './padded-counts.ts';
import { anotherClients, oldAnswer } from './replayed-answer.ts';
import { oneInTwenty, sleeper } from './sometimes.ts';
import { toldAnswer } from './told-answer.ts';
import { truncated } from './truncation.ts';

/** Honest answers before the sleeper wakes. */
export const SLEEPER_HONEST = 200;

/** Every lie that a tab of this suite can tell. Those on answers serve checkers as well: a checker that tells one is a contrarian. */
export const LIES = {
  garbage,
  'prompt-ignored': promptIgnored,
  'hidden-system': hiddenSystem,
  'another-model': anotherModel,
  coarser,
  cooler,
  'own-seed': ownSeed,
  'token-edited': tokenEdited,
  'number-edited': numberEdited,
  'name-edited': nameEdited,
  advertisement,
  truncated,
  looping,
  'old-answer': oldAnswer,
  'another-clients': anotherClients,
  'padded-counts': paddedCounts,
  instant,
  'another-commit': anotherCommit,
  'replayed-commit': replayedCommit,
  'prompt-only': promptOnly,
  'always-yes': alwaysYes,
  'never-reveals': neverReveals,
  'opens-elsewhere': opensElsewhere,
  informant,
  copier,
  'told-answer': toldAnswer,
  'reads-yes': readsYes,
  'reads-yes-by-spaces': readsYesBySpaces,
  'reads-yes-by-letters': readsYesByLetters,
  'reads-yes-by-guesses': readsYesByGuesses,
  'reads-no': readsNo,
  'stops-guessing': stopsGuessing,
  'opens-other-guesses': opensOtherGuesses,
  'one-in-twenty': oneInTwenty,
  sleeper: sleeper(SLEEPER_HONEST),
} as const satisfies Record<string, Lie>;

export type LieName = keyof typeof LIES;
