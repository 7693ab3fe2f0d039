import { type DeviceRoom, type Misfit, misfit, type VariantNeeds } from '../../shared/classes/fits-device.ts';

/** What decides which models a device may run. Null: the browser does not say. */
export interface LadderDevice extends DeviceRoom {
  /** What the browser still lets this site keep, bytes. */
  readonly storageBytes: number | null;
  /** Weights that the device reads in a second while it writes, as measured with a small model; null before. */
  readonly bytesPerSecond: number | null;
}

/** A model in one quantization, as the choice sees it. */
export interface LadderEntry extends VariantNeeds {
  /** `shoal-pup-3m:q8_0`. */
  readonly name: string;
  readonly class: string;
  /** Of the weights: what is downloaded. */
  readonly bytes: number;
}

/** Where a tab begins, and where it goes from there. */
export interface Ladder<E extends LadderEntry> {
  readonly first: E;
  /** The larger one, or the one that the network is short of; null where the first is the one to stay with. */
  readonly next: E | null;
  /** For the owner of the device. */
  readonly because: string;
}

/** What a usual connection brings within seconds, bytes: a tab begins with the largest of these. */
const QUICK_BYTES = 8e6;
/** Slower answers are of no use to somebody who reads along, tokens per second. */
const LEAST_SPEED = 5;
/** Read in a second by a processor of some years ago, bytes (docs/measurements.md). */
const USUAL_BYTES_PER_SECOND = 1e9;

const MISFITS: Readonly<Record<Misfit, string>> = {
  no_webgpu: 'it needs a graphics processor',
  no_shader_f16: 'it needs a graphics processor with half-precision numbers',
  too_large_for_device: 'it needs more memory than can be spared',
  too_large_for_engine: 'it is larger than the engine can hold',
};

/** Why this device should not run a model; null when it can, with room to spare. */
export function objection(entry: LadderEntry, device: LadderDevice): string | null {
  const why = misfit(entry, device);
  if (why !== null) return MISFITS[why];
  if (device.storageBytes !== null && !(entry.bytes <= device.storageBytes)) return 'there is no room to keep it';
  const isOnProcessor = entry.needs.length === 0;
  if (isOnProcessor && (device.bytesPerSecond ?? USUAL_BYTES_PER_SECOND) / entry.bytes < LEAST_SPEED) {
    return `it would write fewer than ${LEAST_SPEED} tokens in a second`;
  }
  return null;
}

/** Whether it could be tried at all. */
function isRunnable(entry: LadderEntry, device: LadderDevice): boolean {
  const why = misfit(entry, device);
  return why === null || why === 'too_large_for_device';
}

/**
 * A small model serves within seconds; the largest that fits comfortably comes next, or before it one that fits and that the network is short of
 * (`wanted`: classes, the shortest first). Null when there is no model at all. Where nothing fits, the smallest that can run is tried.
 */
export function planLadder<E extends LadderEntry>(
  entries: readonly E[],
  device: LadderDevice,
  wanted: readonly string[] = [],
): Ladder<E> | null {
  const bySize = entries.toSorted((a, b) => a.bytes - b.bytes);
  const fitting = bySize.filter((entry) => objection(entry, device) === null);
  const runnable = bySize.filter((entry) => isRunnable(entry, device));
  const quick = fitting.filter(({ bytes }) => bytes <= QUICK_BYTES);
  const first = quick.at(-1) ?? fitting[0] ?? runnable[0];
  if (first === undefined) return null;
  if (fitting.length === 0) {
    return {
      first,
      next: null,
      because: 'It is the smallest there is; every other asks more of this device than it can spare.',
    };
  }
  const short = wanted.map((id) => fitting.find((entry) => entry.class === id)).find((entry) => entry !== undefined);
  const largest = fitting.at(-1) ?? first;
  const goal = short ?? largest;
  if (goal === first) return { first, next: null, because: reasonToStay(first, bySize, device, short !== undefined) };
  const because =
    short === undefined
      ? 'The small one serves at once; the largest that this device runs with ease comes next.'
      : 'The network is short of tabs with this model, and it fits this device.';
  return { first, next: goal, because };
}

function reasonToStay(
  first: LadderEntry,
  bySize: readonly LadderEntry[],
  device: LadderDevice,
  isShort: boolean,
): string {
  if (isShort) return 'The network is short of tabs with this model, and it fits this device.';
  const larger = bySize.find((entry) => entry.bytes > first.bytes);
  const why = larger === undefined ? null : objection(larger, device);
  if (larger === undefined || why === null) return 'It is the largest that the router has.';
  return `It is the largest that fits: of ${larger.name}, ${why}.`;
}
