import { EngineError } from '../engine/engine.ts';
import type { BetweenWork } from './between-work.ts';
import type { LendingTab } from './lending-tab.ts';

export type BrokenTab = Pick<LendingTab, 'withdraw' | 'resume'> & {
  readonly snapshot: Pick<LendingTab['snapshot'], 'engineFailure'> & {
    readonly counts: Pick<LendingTab['snapshot']['counts'], 'answers' | 'checks'>;
  };
};

export interface RepairPorts {
  readonly between: Pick<BetweenWork, 'doing' | 'inTurn'>;
  /** Loads the model that is served once more. */
  readonly load: () => Promise<void>;
  /** It cannot be mended. */
  readonly giveUp: (cause: unknown) => Promise<void>;
}

/**
 * Mends an engine that broke down: the tab takes no more, and the model is loaded again. When it breaks down once more before anything was done, the tab leaves: it is
 * always free, and would draw every request to its failure.
 */
export class EngineRepair {
  readonly #ports: RepairPorts;
  #isAtIt = false;
  /** Answers and checks that were done when the engine was last loaded again. */
  #doneBefore = -1;

  constructor(ports: RepairPorts) {
    this.#ports = ports;
  }

  async mend(tab: BrokenTab, reason: string): Promise<void> {
    if (this.#isAtIt) return;
    this.#isAtIt = true;
    const { between, load, giveUp } = this.#ports;
    tab.withdraw();
    await Promise.resolve(); // The tab has yet to say which lease failed, and may not leave before it did.
    try {
      await between.inTurn(async () => {
        if (tab.snapshot.engineFailure === null) return; // Another model was loaded meanwhile.
        const { answers, checks } = tab.snapshot.counts;
        if (answers + checks === this.#doneBefore) throw new EngineError('crashed', reason);
        this.#doneBefore = answers + checks;
        await load();
        if (between.doing !== 'finishing') tab.resume();
      });
    } catch (cause) {
      await giveUp(cause);
    } finally {
      this.#isAtIt = false;
    }
  }
}
