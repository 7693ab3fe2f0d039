import type { Level } from '../protocol/level.ts';

/** What an answer costs, in micro-credits, whole numbers: tokens × weight of the model × level × SLA class. */

/** How soon an answer is wanted. */
export const SLA_CLASSES = ['fast', 'standard', 'batch'] as const;
export type SlaClass = (typeof SLA_CLASSES)[number];

/** Percent of the plain price: who wants to go first pays half more, who can wait pays half. */
export const SLA_PERCENT: Readonly<Record<SlaClass, number>> = { fast: 150, standard: 100, batch: 50 };

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

/** What so many tokens cost. Rounded up: a token is never free. Percents of level and of SLA class. */
export function costOf(tokens: number, perToken: number, levelPercents: number, slaPercents: number): number {
  return Math.ceil((tokens * perToken * levelPercents * slaPercents) / 10_000);
}
