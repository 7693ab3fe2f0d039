import { NOT_SAMPLED, type Sampling } from '../../shared/protocol/lease.ts';

/** A question that the network asks by itself. With the class it determines the answer. */
export interface Question {
  /** Of a model that embeds: the texts, one a line. */
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
  const pick = <T>(list: readonly T[], otherwise: T): T => pickOne(random, list, otherwise);
  return {
    prompt: newPrompt(random, ownPrompts),
    sampling: {
      temperature: pick(TEMPERATURES, 0),
      seed: Math.floor(random() * 0xffff_fffe),
      maxTokens: MIN_TOKENS + Math.floor(random() * (MAX_TOKENS - MIN_TOKENS + 1)),
    },
  };
}

/** Most texts of one question to a model that embeds. */
const MOST_TEXTS = 4;

/** What is asked of a model that embeds: a few texts of the same shapes, as people search for them. */
export function newTexts(random: () => number, ownPrompts: readonly string[] = []): Question {
  const count = 1 + Math.floor(random() * MOST_TEXTS);
  const texts = Array.from({ length: count }, () => newPrompt(random, ownPrompts));
  return { prompt: texts.join('\n'), sampling: NOT_SAMPLED };
}

export function textsOf(prompt: string): string[] {
  return prompt.split('\n');
}

function newPrompt(random: () => number, ownPrompts: readonly string[]): string {
  const own = pickOne(random, ownPrompts, '');
  const form = pickOne(random, FORMS, 'Tell me about {}.');
  const drawn = `${form.replace('{}', pickOne(random, SUBJECTS, 'the sea'))}${pickOne(random, MANNERS, '')}`;
  return own === '' ? drawn : own;
}

function pickOne<T>(random: () => number, list: readonly T[], otherwise: T): T {
  return list[Math.floor(random() * list.length)] ?? otherwise;
}
