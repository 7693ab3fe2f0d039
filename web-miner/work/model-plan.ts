import { type ServedVariant, variantsNamed } from '../../shared/classes/catalogue.ts';
import { ModelDownloadError } from '../models/model-download-error.ts';
import { type LadderDevice, type LadderEntry, planLadder } from '../models/model-ladder.ts';
import { nameOf } from './model-on-device.ts';

export interface FirstModel {
  readonly first: ServedVariant;
  /** The larger one that comes down meanwhile; null: none does. */
  readonly next: ServedVariant | null;
  readonly because: string;
}

type Rung = LadderEntry & { readonly served: ServedVariant };

/** Which of the router's models this device runs: what its owner chose, or what fits. Learns how fast the device is. */
export class ModelPlan {
  readonly #entries: readonly ServedVariant[];
  /** As in `GET /v1/models`; null where the choice is the tab's. */
  readonly #chosen: string | null;
  #device: LadderDevice;

  constructor(entries: readonly ServedVariant[], chosen: string | null, device: LadderDevice) {
    this.#entries = entries;
    this.#chosen = chosen;
    this.#device = device;
  }

  /** Throws {@link ModelDownloadError} where there is none. */
  get begin(): FirstModel {
    const chosen = this.#chosen;
    const [first] = chosen === null ? [] : variantsNamed(this.#entries, chosen);
    if (first !== undefined) return { first, next: null, because: 'You chose it.' };
    if (chosen !== null) throw new ModelDownloadError(`The router has no model '${chosen}'.`);
    const plan = planLadder(this.#rungs, this.#device);
    if (plan === null) throw new ModelDownloadError('The router has no model that this device can run.');
    return { first: plan.first.served, next: plan.next?.served ?? null, because: plan.because };
  }

  /** The largest that is smaller and runs on the processor, without terms that must be shown first; null where there is none. */
  smallerThan({ variant }: ServedVariant): ServedVariant | null {
    const smaller = this.#rungs.filter(
      ({ bytes, format, served: { model } }) =>
        bytes < variant.weights.bytes && format === 'gguf' && !model.licence.mustShow,
    );
    return smaller.toSorted((a, b) => b.bytes - a.bytes)[0]?.served ?? null;
  }

  /** A model that the network is short of and that fits, other than the one that is served; null where the choice is not the tab's. */
  wanted(classes: readonly string[], served: string | null, isPaused: (name: string) => boolean): ServedVariant | null {
    if (this.#chosen !== null) return null;
    // Terms that must be shown were not: whoever lends saw those of the first choice only.
    const open = this.#rungs.filter(({ name, served: { model } }) => !model.licence.mustShow && !isPaused(name));
    const plan = planLadder(open, this.#device, classes);
    const goal = (plan?.next ?? plan?.first)?.served ?? null;
    return goal === null || !classes.includes(goal.class) || goal.class === served ? null : goal;
  }

  /** A model of so many bytes writes so many tokens in a second here. */
  learned(tokensPerSecond: number, bytes: number): void {
    this.#device = { ...this.#device, bytesPerSecond: tokensPerSecond * bytes };
  }

  /** What a tab may choose among by itself. */
  get #rungs(): Rung[] {
    return this.#entries
      .filter(({ model }) => model.capabilities.includes('chat'))
      .map((served) => {
        const { weights, format, memoryBytes, needs } = served.variant;
        return { name: nameOf(served), class: served.class, bytes: weights.bytes, format, memoryBytes, needs, served };
      });
  }
}
