import type { ServedVariant } from '../../shared/classes/catalogue.ts';
import { LEVELS, type Level } from '../../shared/protocol/level.ts';
import { costOf, levelPercent, SLA_PERCENT, type SlaClass } from '../../shared/receipt/price-rule.ts';

/** What an answer costs, in micro-credits, whole numbers: tokens × weight of the model × level × SLA class. */

const MIB = 1024 * 1024;

/** For each token read or written: one for every MiB of the weights, because a tab reads all of them for each token. */
export function pricePerToken({ variant }: Pick<ServedVariant, 'variant'>): number {
  return Math.max(1, Math.round(variant.weights.bytes / MIB));
}

export function priceOf(
  served: ServedVariant,
  tokens: number,
  level: Level,
  checks: number,
  sla: SlaClass = 'standard',
): number {
  return costOf(tokens, pricePerToken(served), levelPercent(level, checks), SLA_PERCENT[sla]);
}

export function pricesOf(
  served: ServedVariant,
  tokens: number,
  checks: number,
  sla: SlaClass = 'standard',
): Record<Level, number> {
  return Object.fromEntries(LEVELS.map((level) => [level, priceOf(served, tokens, level, checks, sla)])) as Record<
    Level,
    number
  >;
}
