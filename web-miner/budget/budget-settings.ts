import * as v from 'valibot';

const hour = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(23));

/** Shares of time that a person may choose, percent. */
export const SHARES = [25, 50, 100] as const;

/** What the owner of a device allows it to do. Stored in the browser: fields may be added with a fallback, never repurposed. */
export const budgetSettings = v.object({
  /** Most of the time that the tab may work, percent. */
  sharePercent: v.fallback(v.picklist(SHARES), 100),
  onlyWhenIdle: v.fallback(v.boolean(), false),
  onlyWhenPluggedIn: v.fallback(v.boolean(), false),
  onlyInForeground: v.fallback(v.boolean(), false),
  /** Hours of the day by the device's clock, the second not included; the first may be the later one. Null: all of them. */
  hours: v.fallback(v.nullable(v.object({ from: hour, to: hour })), null),
  /** Rests while the operating system says that the processor is under pressure. */
  easeUnderPressure: v.fallback(v.boolean(), true),
  /** Bytes that the tab may download and send in a day; null: no limit. */
  dailyBytes: v.fallback(v.nullable(v.pipe(v.number(), v.safeInteger(), v.minValue(1))), null),
  /** Rests when the device became much slower than it was: it is hot, or somebody needs it. */
  restWhenSlow: v.fallback(v.boolean(), true),
  /** Keeps the screen on while the tab works and can be seen: a sleeping device breaks off its answers. */
  keepAwake: v.fallback(v.boolean(), true),
});
export type BudgetSettings = v.InferOutput<typeof budgetSettings>;

export const DEFAULT_BUDGET: BudgetSettings = v.parse(budgetSettings, {});

/** Of a machine that is there for this and nothing else: a server, a test. Nobody sits at it who could be disturbed. */
export const WHOLE_MACHINE: BudgetSettings = {
  ...DEFAULT_BUDGET,
  easeUnderPressure: false,
  restWhenSlow: false,
  keepAwake: false,
};
