import type { Sampling } from '../../shared/protocol/lease.ts';
import type { Level } from '../../shared/protocol/level.ts';

/** How questions are asked. Null: as the model or the router has it. */
export interface ChatSettings {
  readonly level: Level | null;
  /** Sealed in the page; else by plain HTTP, which the router can read. */
  readonly isPrivate: boolean;
  readonly system: string;
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly maxTokens: number | null;
  readonly seed: number | null;
  /** Answers side by side, each by a task of its own. */
  readonly answers: number;
}

export const MAX_SIDE_BY_SIDE = 4;

export const DEFAULT_SETTINGS: ChatSettings = {
  level: null,
  isPrivate: true,
  system: '',
  temperature: null,
  topP: null,
  maxTokens: null,
  seed: null,
  answers: 1,
};

/** Seeds are of 32 bits; the last value means "random" to the engine. */
const SEEDS = 0xffff_ffff;

/** The values that were chosen, for answer number `index` of those side by side: with one seed all of them would be the same. */
export function samplingOf(settings: ChatSettings, index: number): Partial<Sampling> {
  const { temperature, topP, maxTokens, seed } = settings;
  return {
    ...(temperature !== null && { temperature }),
    ...(topP !== null && { topP }),
    ...(maxTokens !== null && { maxTokens }),
    ...(seed !== null && { seed: (seed + index) % SEEDS }),
  };
}
