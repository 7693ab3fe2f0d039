import * as v from 'valibot';
import { LEVELS } from '../../shared/protocol/level.ts';
import { type ChatSettings, DEFAULT_SETTINGS, MAX_SIDE_BY_SIDE } from './chat-settings.ts';

/** How this visitor asks: what a page remembers from one visit to the next, in this browser only. The API key is not part of it: it has a word of its own. */
export interface KeptSettings {
  /** Null: whatever has tabs. */
  readonly model: string | null;
  readonly direct: boolean;
  readonly settings: ChatSettings;
}

const NAME = 'shoal-chat-settings';
const FIRST: KeptSettings = { model: null, direct: false, settings: DEFAULT_SETTINGS };

const figure = (least: number, most: number) => v.nullable(v.pipe(v.number(), v.minValue(least), v.maxValue(most)));

/** Persisted: fields may be added, with a fallback, and never repurposed. */
const kept = v.object({
  model: v.nullable(v.string()),
  direct: v.boolean(),
  settings: v.object({
    level: v.nullable(v.picklist(LEVELS)),
    isPrivate: v.boolean(),
    system: v.string(),
    temperature: figure(0, 2),
    topP: figure(0, 1),
    maxTokens: figure(1, 32_768),
    seed: figure(0, 0xffff_fffe),
    answers: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_SIDE_BY_SIDE)),
  }),
});

/** As on the first visit where nothing is kept, nothing can be kept, or what is kept cannot be read. */
export function keptSettings(): KeptSettings {
  try {
    const read = v.safeParse(kept, JSON.parse(localStorage.getItem(NAME) ?? 'null'));
    return read.success ? read.output : FIRST;
  } catch {
    return FIRST;
  }
}

export function keepSettings(settings: KeptSettings): void {
  try {
    localStorage.setItem(NAME, JSON.stringify(settings));
  } catch {
    // Storage is full or switched off: the choice lasts as long as the page.
  }
}
