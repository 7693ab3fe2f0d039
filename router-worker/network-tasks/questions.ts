import type { Sampling } from '../../shared/protocol/lease.ts';

/** A question that the network asks by itself. With the class it determines the answer. */
export interface Question {
  readonly prompt: string;
  readonly sampling: Pick<Sampling, 'temperature' | 'seed' | 'maxTokens'>;
}

/**
 * Questions of the shapes that people ask. Forms, subjects and manners are drawn apart, and seeds and lengths vary, so that few come twice; whoever reads
 * this list can still guess that a question is one of them. An operator's own prompts, one to a line in `SHOAL_NETWORK_PROMPTS`, take their place.
 */
const FORMS = [
  'What is {}?',
  'Tell me about {}.',
  'Explain {} in two sentences.',
  'Tell me a short story about {}.',
  'Write a poem about {}.',
  'List three things to know about {}.',
  'How do I learn more about {}?',
  'Why do people like {}?',
  'What should I ask somebody who knows {}?',
  'Give me a question about {}, and its answer.',
  'Is {} hard to understand?',
  'Describe {} to a child.',
];

const SUBJECTS = [
  'the sea',
  'a lighthouse',
  'bread',
  'tea',
  'the moon',
  'Japan',
  'Brazil',
  'Kenya',
  'a robot',
  'friendship',
  'the rain',
  'a small garden',
  'cats',
  'elephants',
  'the colour blue',
  'numbers',
  'the capital of France',
  'a train journey',
  'winter',
  'a library',
  'the violin',
  'a bicycle',
  'maps',
  'the desert',
  'a market',
  'bees',
  'volcanoes',
  'a letter to a friend',
  'sleep',
  'the alphabet',
  'a river',
  'chess',
  'clouds',
  'honey',
  'the stars',
  'an old clock',
  'paper boats',
  'a bridge',
];

const MANNERS = [
  '',
  '',
  '',
  ' Please be brief.',
  ' Use simple words.',
  ' I am new to this.',
  ' Thank you!',
  ' Answer in English.',
];

const TEMPERATURES = [0, 0.7, 0.8, 1];

/** Tokens of the shortest and the longest answer asked for: enough for several blocks, and over in a second or two. */
const MIN_TOKENS = 24;
const MAX_TOKENS = 64;

export function newQuestion(random: () => number, ownPrompts: readonly string[] = []): Question {
  const pick = <T>(list: readonly T[], otherwise: T): T => list[Math.floor(random() * list.length)] ?? otherwise;
  const own = pick(ownPrompts, '');
  const drawn = `${pick(FORMS, 'Tell me about {}.').replace('{}', pick(SUBJECTS, 'the sea'))}${pick(MANNERS, '')}`;
  return {
    prompt: own === '' ? drawn : own,
    sampling: {
      temperature: pick(TEMPERATURES, 0),
      seed: Math.floor(random() * 0xffff_fffe),
      maxTokens: MIN_TOKENS + Math.floor(random() * (MAX_TOKENS - MIN_TOKENS + 1)),
    },
  };
}
