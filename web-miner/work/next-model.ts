import type { ServedVariant } from '../../shared/classes/catalogue.ts';
import { SlowDevice, WrongDevice } from '../preflight/self-test.ts';
import { explain } from './explain-end.ts';
import type { ComingModel, GatedDownload } from './gated-download.ts';
import { GrowingPauses } from './growing-pauses.ts';
import { nameOf } from './model-on-device.ts';
import type { ModelPlan } from './model-plan.ts';

/** A model that was to take the place of the one that is served, and did not. */
export interface MissedModel {
  readonly model: string;
  readonly reason: string;
  /** It is not tried again before, ms since the epoch; null: not at all. */
  readonly againAt: number | null;
}

export interface NextModelPorts {
  readonly plan: () => Pick<ModelPlan, 'wanted'> | null;
  readonly download: Pick<GatedDownload, 'fetch'>;
  /** Class of the model that is served. */
  readonly served: () => string | null;
  /** Puts the model in the place of the one that is served. Throws why it did not; then the one before serves on. */
  readonly changeTo: (target: ServedVariant, weights: Blob, because: string) => Promise<void>;
  /** Something that is shown is another. */
  readonly tell: () => void;
  readonly signal: AbortSignal;
}

/** What the network is short of changes faster than a model is fetched: the tab follows so often at most, ms. */
const FOLLOW_EVERY_MS = 10 * 60_000;
/** A model that failed is tried again after this time, and twice as long each time, up to half a day, ms. */
const FIRST_PAUSE_MS = 10 * 60_000;
const LONGEST_PAUSE_MS = 12 * 3_600_000;

/** A larger model, or one that the network is short of, comes down while the tab serves, and then takes the place of the one before. One at a time. */
export class NextModel {
  readonly #ports: NextModelPorts;
  readonly #pauses = new GrowingPauses(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
  #coming: ComingModel | null = null;
  #missed: MissedModel | null = null;
  #isComing = false;
  #followedAt = Number.NEGATIVE_INFINITY;
  #again: ReturnType<typeof setTimeout> | undefined;

  constructor(ports: NextModelPorts) {
    this.#ports = ports;
    ports.signal.addEventListener('abort', () => clearTimeout(this.#again), { once: true });
  }

  get coming(): ComingModel | null {
    return this.#coming;
  }

  get missed(): MissedModel | null {
    return this.#missed;
  }

  /** The tab's own goal: tried again by itself after a pause. */
  async climb(target: ServedVariant, because: string): Promise<void> {
    const againAt = await this.#bring(target, because);
    if (againAt === null || this.#ports.signal.aborted) return;
    this.#again = setTimeout(() => void this.climb(target, because), againAt - Date.now());
  }

  /** The network is short of these classes, the shortest first. */
  follow(classes: readonly string[]): void {
    const now = Date.now();
    if (this.#isComing || now - this.#followedAt < FOLLOW_EVERY_MS) return;
    const { plan, served } = this.#ports;
    const goal = plan()?.wanted(classes, served(), (name) => this.#pauses.isPaused(name, now)) ?? null;
    if (goal === null) return;
    this.#followedAt = now;
    void this.#bring(goal, 'The network is short of tabs with this model, and it fits this device.');
  }

  /** When to try again, ms since the epoch; null: it came, or shall not. */
  async #bring(target: ServedVariant, because: string): Promise<number | null> {
    if (this.#isComing) return Date.now() + FIRST_PAUSE_MS;
    if (this.#ports.served() === target.class) return null; // The network asked for it meanwhile.
    this.#isComing = true;
    const name = nameOf(target);
    const { download, changeTo, tell, signal } = this.#ports;
    try {
      const weights = await download.fetch(target, (coming) => {
        this.#coming = coming;
        tell();
      });
      await changeTo(target, weights, because);
      this.#pauses.succeeded(name);
      this.#missed = null;
      return null;
    } catch (cause) {
      if (signal.aborted) return null;
      const againAt = this.#failed(name, cause);
      this.#missed = { model: name, reason: explain(cause).reason, againAt };
      return againAt;
    } finally {
      this.#isComing = false;
      this.#coming = null;
      tell();
    }
  }

  #failed(name: string, cause: unknown): number | null {
    if (!(cause instanceof SlowDevice || cause instanceof WrongDevice)) return this.#pauses.failed(name, Date.now());
    this.#pauses.failedForGood(name);
    return null;
  }
}
