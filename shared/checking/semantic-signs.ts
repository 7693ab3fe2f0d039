import type { FinishReason } from './digest-chain.ts';

/**
 * Signs that an answer is not one, read off the text alone: cheap, for any two classes, and easy to avoid. None is a verdict, and honest answers show them
 * too: how often is in `docs/checking.md`. No sign sees a changed number, a false sentence, or an advertisement without an address.
 */
export const SEMANTIC_SIGNS = ['empty', 'looping', 'cut', 'other-script', 'off-topic', 'echo', 'link'] as const;
export type SemanticSign = (typeof SEMANTIC_SIGNS)[number];

export interface FoundSign {
  readonly sign: SemanticSign;
  /** What was measured; its meaning is that of the function for the sign. */
  readonly figure: number;
}

export interface AnsweredPrompt {
  readonly prompt: string;
  readonly answer: string;
  readonly finish: FinishReason;
  /** Cosine of the sentence embeddings of prompt and answer; `null` where there is none. */
  readonly relatedness: number | null;
}

/** From which figure on a sign is given. Made by `npm run calibrate`. */
export interface SignLimits {
  /** Share of repeated runs of three words, 0 … 1, above which an answer loops. */
  readonly looping: number;
  /** Cosine of prompt and answer below which it is off topic. */
  readonly offTopic: number;
}

/** Share of letters in scripts that the prompt does not use, above which the answer is in another script. */
const OTHER_SCRIPT_SHARE = 0.5;

/** Share of the prompt's runs of three words that an echo gives back. */
const ECHO_SHARE = 0.9;

/** Words behind the last full stop from which on an answer that ended by itself looks cut. A signature or a short reply has fewer. */
const LOOSE_WORDS = 4;

/** Shorter texts have too few runs of words to say anything. */
const LEAST_RUNS = 5;

export function semanticSigns(
  { prompt, answer, finish, relatedness }: AnsweredPrompt,
  limits: SignLimits,
): readonly FoundSign[] {
  const letters = (answer.match(/[\p{L}\p{N}]/gu) ?? []).length;
  if (letters === 0) return [{ sign: 'empty', figure: 0 }];
  const found: FoundSign[] = [];
  const give = (sign: SemanticSign, figure: number, isGiven: boolean) => {
    if (isGiven) found.push({ sign, figure });
  };
  const repeated = repeatedShare(answer);
  give('looping', repeated, repeated > limits.looping);
  const loose = looseWords(answer);
  give('cut', loose, finish === 'stop' && loose >= LOOSE_WORDS);
  const other = otherScriptShare(prompt, answer);
  give('other-script', other, other > OTHER_SCRIPT_SHARE);
  if (relatedness !== null) give('off-topic', relatedness, relatedness < limits.offTopic);
  const echoed = echoedShare(prompt, answer);
  give('echo', echoed, echoed > ECHO_SHARE);
  const links = newLinks(prompt, answer);
  give('link', links, links > 0);
  return found;
}

/** Share of runs of three words that were there before in the same text; 0 for short ones. */
export function repeatedShare(text: string): number {
  const runs = threeWordRuns(text);
  return runs.length < LEAST_RUNS ? 0 : 1 - new Set(runs).size / runs.length;
}

/** Words of the last line behind the last mark that ends a sentence; 0 for an item of a list. */
export function looseWords(text: string): number {
  const line = text.trimEnd().split('\n').at(-1) ?? '';
  if (LIST_ITEM.test(line)) return 0;
  const tail = line.split(SENTENCE_END).at(-1) ?? '';
  return tail.match(/[\p{L}\p{N}]+/gu)?.length ?? 0;
}

/** Share of the answer's letters whose script occurs nowhere in the prompt, 0 … 1. */
export function otherScriptShare(prompt: string, answer: string): number {
  const used = SCRIPTS.filter((script) => script.test(prompt));
  const counts = SCRIPTS.map((script) => ({
    count: [...answer].filter((character) => script.test(character)).length,
    isUsed: used.includes(script),
  }));
  const all = counts.reduce((sum, { count }) => sum + count, 0);
  const other = counts.reduce((sum, { count, isUsed }) => sum + (isUsed ? 0 : count), 0);
  return all === 0 ? 0 : other / all;
}

/** Share of the prompt's runs of three words that the answer holds, 0 … 1; 0 for short prompts. */
export function echoedShare(prompt: string, answer: string): number {
  const asked = threeWordRuns(prompt);
  if (asked.length < LEAST_RUNS) return 0;
  const given = new Set(threeWordRuns(answer));
  return asked.filter((run) => given.has(run)).length / asked.length;
}

/** Addresses in the answer that the prompt did not name. */
export function newLinks(prompt: string, answer: string): number {
  return (answer.match(ADDRESS) ?? []).filter((address) => !prompt.includes(address)).length;
}

const SENTENCE_END = /[.!?؟…](?=\s|$|["'”’)\]])|[。！？]/u;
const LIST_ITEM = /^\s*(?:[-*•]|\d+[.)])\s/u;

const ADDRESS = /\bhttps?:\/\/[^\s)>\]]+|\bwww\.[^\s)>\]]+|\b[\w.+-]+@[\w-]+\.[\w.-]+/giu;

const SCRIPTS = [
  /\p{Script=Latin}/u,
  /\p{Script=Cyrillic}/u,
  /\p{Script=Greek}/u,
  /\p{Script=Arabic}/u,
  /\p{Script=Hebrew}/u,
  /\p{Script=Devanagari}/u,
  /\p{Script=Thai}/u,
  /\p{Script=Hangul}/u,
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u,
];

function threeWordRuns(text: string): string[] {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.slice(2).map((word, i) => `${words[i]} ${words[i + 1]} ${word}`);
}
