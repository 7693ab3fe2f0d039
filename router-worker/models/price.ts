import { kindOf, type ServedVariant } from '../../shared/classes/catalogue.ts';
import { LEVELS, type Level } from '../../shared/protocol/level.ts';

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

/** How soon an answer is wanted. */
export type SlaClass = 'fast' | 'standard' | 'batch';

/** Percent of the plain price: who wants to go first pays half more, who can wait pays half. */
export const SLA_PERCENT: Readonly<Record<SlaClass, number>> = { fast: 150, standard: 100, batch: 50 };

/** What so many tokens cost. Rounded up: a token is never free. Percents of level and of SLA class. */
export function costOf(tokens: number, perToken: number, levelPercents: number, slaPercents: number): number {
  return Math.ceil((tokens * perToken * levelPercents * slaPercents) / 10_000);
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
