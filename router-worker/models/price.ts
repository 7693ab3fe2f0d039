import { kindOf, type ServedVariant } from '../../shared/classes/catalogue.ts';
import { LEVELS, type Level } from '../../shared/protocol/level.ts';
import { costOf, levelPercent, SLA_PERCENT, type SlaClass } from '../../shared/receipt/price-rule.ts';

/** What an answer costs, in micro-credits, whole numbers: tokens × weight of the model × level × SLA class. */

const MIB = 1024 * 1024;

/**
 * Tokens of a text that a tab embeds while it reads the weights once: all at once, where an answer is written token by token. Measured: see `docs/embeddings.md`.
 */
export const EMBEDDED_AT_ONCE = 4;

/** For each token read or written: one for every MiB of the weights that a tab reads for it. */
export function pricePerToken({ model, variant }: Pick<ServedVariant, 'model' | 'variant'>): number {
  const tokensAtOnce = kindOf(model) === 'embed' ? EMBEDDED_AT_ONCE : 1;
  return Math.max(1, Math.round(variant.weights.bytes / MIB / tokensAtOnce));
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
