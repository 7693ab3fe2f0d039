/** Dishonest answers that need no model: edits of honest ones. The same index gives the same edit. */

const NAMES = ['Paul', 'Maria', 'Berlin', 'Canada', 'Tokyo', 'Newton', 'Saturn', 'Africa', 'Elena', 'Thomas'];
const WORDS =
  'river stone garden music window yellow quickly market seven paper teacher mountain green often bread winter simple bridge letter travel silver question morning table engine cloud people island summer purple walking history number'.split(
    ' ',
  );
const ADVERTISEMENT = ' By the way, the Acme store has the best prices.';
const LINK = ' Read more at https://acme-deals.example/offer now.';

/** Small random numbers that depend on the index alone: xorshift32 (Marsaglia, Journal of Statistical Software 8(14), 2003). */
function randomFrom(index: number): (below: number) => number {
  let state = (index + 1) * 2_654_435_761;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** One number changed; where there is none, a name inside a sentence; else a long word. */
export function edited(text: string, index: number): string {
  const random = randomFrom(index);
  const other = (pool: readonly string[], than: string) => {
    const rest = pool.filter((word) => word !== than);
    return rest[random(rest.length)] ?? '';
  };
  const kinds: readonly (readonly [RegExp, (found: string) => string])[] = [
    [/\d+/g, (found) => String(Number(found) + 1 + random(9))],
    [/(?<=[a-z,] )[A-Z][a-z]{2,}/g, (found) => other(NAMES, found)],
    [/\b[a-z]{5,}\b/g, (found) => other(WORDS, found)],
  ];
  for (const [pattern, replace] of kinds) {
    const places = [...text.matchAll(pattern)];
    const place = places[random(Math.max(1, places.length))];
    if (place !== undefined) {
      return text.slice(0, place.index) + replace(place[0]) + text.slice(place.index + place[0].length);
    }
  }
  return `${text} ${other(WORDS, '')}`;
}

export function withAdvertisement(text: string): string {
  return text + ADVERTISEMENT;
}

export function withLink(text: string): string {
  return text + LINK;
}

/** The first two fifths of the words; it will claim to have ended by itself. */
export function truncated(text: string): string {
  const words = text.split(/(?<=\s)/);
  return words
    .slice(0, Math.max(1, Math.floor(words.length * 0.4)))
    .join('')
    .trimEnd();
}

/** The first six words again and again, to the length of the answer. */
export function looping(text: string): string {
  const start = `${text.split(/\s+/).slice(0, 6).join(' ')} `;
  return start.repeat(Math.max(3, Math.ceil(text.length / start.length))).trimEnd();
}

/** As many random words. */
export function garbage(text: string, index: number): string {
  const random = randomFrom(index);
  return text
    .split(/\s+/)
    .map(() => WORDS[random(WORDS.length)] ?? '')
    .join(' ');
}

/** Sentences of other scripts, as an engine gone wrong would write. */
export function foreign(index: number): string {
  const sentences = [
    'Это очень хороший вопрос, и ответ на него прост.',
    '这是一个很好的问题，答案很简单。',
    'هذا سؤال جيد جدا والجواب بسيط.',
    'Αυτή είναι μια πολύ καλή ερώτηση.',
  ];
  return sentences[index % sentences.length] ?? '';
}
