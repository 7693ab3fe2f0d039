import type { BudgetSettings } from './budget-settings.ts';

/** The rules of whoever owns the device: those that the browser has kept, as soon as it has read them, unless they were changed meanwhile. */
export class OwnersBudget {
  readonly #onSettings: (settings: BudgetSettings) => void;
  #isChanged = false;

  /** `onSettings`: these are the rules from now on. */
  constructor(onSettings: (settings: BudgetSettings) => void) {
    this.#onSettings = onSettings;
  }

  async read(kept: Promise<{ readonly settings: BudgetSettings }>): Promise<void> {
    const { settings } = await kept;
    if (!this.#isChanged) this.#onSettings(settings);
  }

  change(settings: BudgetSettings): void {
    this.#isChanged = true;
    this.#onSettings(settings);
  }
}
