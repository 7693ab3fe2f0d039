import type { ServedVariant } from '../../shared/classes/catalogue.ts';
import { LEVELS, type Level } from '../../shared/protocol/level.ts';

/**
 * What an answer costs, in micro-credits, whole numbers. There are no accounts yet and nothing is charged: a price says what a level costs the network,
 * in the same unit for all.
 */

const MIB = 1024 * 1024;

/** For each token read or written: one for every MiB of the weights, because a tab reads all of them for each token. */
export function pricePerToken({ variant }: ServedVariant): number {
  return Math.max(1, Math.round(variant.weights.bytes / MIB));
}

/**
 * Percent of the plain price. A check is a second execution. `basic` pays the mean of what is checked afterwards in time that users want
 * (docs/trust.md), `strict` for the tab's frames that wait.
 */
export function levelPercent(level: Level, checks: number): number {
  switch (level) {
    case 'none':
      return 100;
    case 'basic':
      return 105;
    case 'cross':
      return 100 + 100 * checks;
    case 'strict':
      return 110 + 100 * checks;
  }
}

export function priceOf(served: ServedVariant, tokens: number, level: Level, checks: number): number {
  return Math.ceil((tokens * pricePerToken(served) * levelPercent(level, checks)) / 100);
}

export function pricesOf(served: ServedVariant, tokens: number, checks: number): Record<Level, number> {
  return Object.fromEntries(LEVELS.map((level) => [level, priceOf(served, tokens, level, checks)])) as Record<
    Level,
    number
  >;
}
