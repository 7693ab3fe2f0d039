import { completeSampling } from '../../router-worker/models/complete-sampling.ts';
import type { ModelEntry } from '../../shared/classes/catalogue.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';

export interface TrialRequest {
  readonly question: string;
  readonly sampling: Sampling;
}

const NAMES = ['Nora', 'Tess', 'Henry', 'Ahmed', 'Yara', 'Otto', 'Maya'];
const CITIES = ['Oslo', 'Lima', 'Paris', 'Cairo', 'Rome'];
const COUNTRIES = ['Japan', 'Spain', 'Peru', 'France', 'Kenya', 'Italy', 'Norway', 'Egypt', 'Canada', 'India', 'Chile'];
const HEROES = ['robot', 'fox', 'snail', 'dragon', 'bear', 'owl', 'rabbit', 'mouse', 'cat'];
const THEMES = ['friendship', 'the moon', 'a lost key', 'courage', 'the sea', 'a storm', 'a small door'];
const TASKS = ['make a cup of tea', 'plant a seed', 'wash my hands', 'make a sandwich', 'boil an egg'];

const at = <T>(list: readonly T[], index: number): T => list[index % list.length] as T;

/** Questions that the embedded model answers well, with names, with numbers, short and long. Some of the answers are sampled alike, hardly two are. */
const QUESTIONS: readonly ((n: number) => string)[] = [
  (n) => `Tell me a long story about a ${at(HEROES, n)} and ${at(THEMES, n)}.`,
  (n) =>
    `Extract the name, age and city as JSON: ${at(NAMES, n)} is ${20 + (n % 60)} years old and lives in ${at(CITIES, n)}.`,
  (n) => `What is ${11 + (n % 71)} + ${12 + ((n * 7) % 53)}?`,
  (n) => `How do I ${at(TASKS, n)}?`,
  (n) => `What is the capital of ${at(COUNTRIES, n)}?`,
  (n) => `Count from ${1 + (n % 5)} to ${12 + (n % 9)}.`,
  (n) => `Tell me a short story about a ${at(HEROES, n + 3)} and ${at(THEMES, n + 1)}.`,
  (n) => `My name is ${at(NAMES, n)}. Explain in detail how Shoal answers a question.`,
];

/** The requests of all attacks on a model: every other one greedy, the others at temperature 0.8 with a seed each. */
export function trialRequests(model: ModelEntry, count: number, maxTokens: number): TrialRequest[] {
  return Array.from({ length: count }, (_, index) => {
    const question = at(QUESTIONS, index >> 1)(index >> 1);
    const temperature = index % 2 === 0 ? 0 : 0.8;
    return { question, sampling: completeSampling(model, { temperature, seed: 1000 + index, maxTokens }) };
  });
}
