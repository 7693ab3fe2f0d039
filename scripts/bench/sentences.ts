/** Sentences of everyday length, each another one. */
const WHO = [
  'The ferry',
  'A young fox',
  'My neighbour',
  'The old library',
  'A small robot',
  'Every baker in town',
  'The choir',
];
const WHAT = [
  'waits for',
  'has never seen',
  'writes about',
  'is afraid of',
  'keeps a photograph of',
  'sings of',
  'sells',
];
const WHOM = [
  'the harbour at night',
  'a red bicycle',
  'fresh bread',
  'the mountains in winter',
  'an honest answer',
  'rain',
];
const WHEN = ['on most days', 'since last year', 'before the sun is up', 'whenever there is time', 'in a quiet voice'];

export function sentences(count: number): string[] {
  return Array.from({ length: count }, (_, at) => {
    const pick = (list: readonly string[], step: number) => list[Math.floor(at / step) % list.length] ?? '';
    const words = [pick(WHO, 1), pick(WHAT, WHO.length), pick(WHOM, WHO.length * WHAT.length), pick(WHEN, 294)];
    return `${words.join(' ')}, says letter ${at}.`;
  });
}
