import type { ServedVariant } from '../../shared/classes/catalogue.ts';
import type { WorkGate } from '../budget/work-gate.ts';
import { DownloadHalt } from '../models/download-halt.ts';
import { type DownloadProgress, fetchWeights, type Shortage } from '../models/model-store.ts';
import { nameOf } from './model-on-device.ts';

/** A model on its way to this device. */
export interface ComingModel {
  readonly model: string;
  readonly progress: DownloadProgress;
  /** Why it does not come at the moment, in a sentence; null while it does. */
  readonly halted: string | null;
}

export interface DownloadPorts {
  readonly origin: string;
  readonly gate: Pick<WorkGate, 'moved' | 'downloads'>;
  readonly onShortage?: (shortage: Shortage) => Promise<readonly string[]>;
  readonly signal: AbortSignal;
}

/** Fetches models as far as the owner allows it: what is paused, offline, outside the hours or beyond the data of the day waits, and goes on where it stood. */
export class GatedDownload {
  readonly #ports: DownloadPorts;
  readonly #halt = new DownloadHalt();
  #tell: (() => void) | null = null;

  constructor(ports: DownloadPorts) {
    this.#ports = ports;
    this.look();
  }

  /** The gate may have another answer. */
  look(): void {
    this.#halt.set(!this.#ports.gate.downloads.may);
    this.#tell?.();
  }

  /** Throws what `fetchWeights` throws. One at a time. */
  async fetch(served: ServedVariant, onComing: (coming: ComingModel) => void): Promise<Blob> {
    const { origin, gate, onShortage, signal } = this.#ports;
    const model = nameOf(served);
    let counted = 0;
    const onProgress = (progress: DownloadProgress) => {
      this.#tell = () => onComing({ model, progress, halted: gate.downloads.may ? null : gate.downloads.because });
      this.#tell();
      gate.moved(progress.fetchedBytes - counted);
      counted = progress.fetchedBytes;
    };
    const options = { name: model, halt: this.#halt, ...(onShortage !== undefined && { onShortage }) };
    try {
      return await fetchWeights(origin, served.variant, onProgress, signal, options);
    } finally {
      this.#tell = null;
    }
  }
}
