import type { LadderDevice } from '../models/model-ladder.ts';
import type { FoundGpu } from './gpu.ts';

/** What a browser tells of itself and its device. Null: it does not tell. */
export interface DeviceSeen {
  readonly hasSimd: boolean;
  /** Memory of WebAssembly that is addressed by 64 bits: the engine is built for it. */
  readonly hasMemory64: boolean;
  readonly hasKeys: boolean;
  readonly hasLinks: boolean;
  /** Whether the page may share memory between threads. */
  readonly isIsolated: boolean;
  readonly cores: number;
  readonly memoryBytes: number | null;
  /** The browser knows WebGPU at all; `gpu` is what it found behind it. */
  readonly hasGpuInterface: boolean;
  readonly gpu: FoundGpu | null;
  readonly storageBytes: number | null;
  readonly keepsDownloads: boolean;
  readonly keepsKeys: boolean;
  readonly battery: { readonly isPluggedIn: boolean; readonly level: number } | null;
  readonly network: { readonly isMetered: boolean; readonly isSlow: boolean } | null;
  readonly isPhone: boolean;
}

/** One thing that was found, in a person's words. */
export interface Finding {
  readonly name: string;
  readonly verdict: 'good' | 'limited' | 'missing';
  readonly text: string;
}

export type Role = 'answer' | 'check' | 'embed';

export interface RoleFit {
  readonly role: Role;
  readonly fits: boolean;
  readonly because: string;
}

export interface Preflight {
  readonly findings: readonly Finding[];
  readonly roles: readonly RoleFit[];
  /** Why this browser cannot lend at all, and what it can do instead; null when it can lend. */
  readonly blocker: string | null;
  /** For the choice of a model. */
  readonly ladder: LadderDevice;
}

const GB = 1e9;
/** Below this a browser ends pages that grow, bytes. */
const LITTLE_MEMORY_BYTES = 2 * GB;
const LITTLE_STORAGE_BYTES = GB / 2;

const INSTEAD = 'You can still ask questions here: see “Ask” above.';

/** What was found, what it means, and which roles fit. */
export function judgeDevice(seen: DeviceSeen): Preflight {
  const blocker = blockerOf(seen);
  return { findings: findingsOf(seen), roles: rolesOf(seen, blocker), blocker, ladder: ladderOf(seen) };
}

function blockerOf({ hasSimd, hasMemory64, hasKeys }: DeviceSeen): string | null {
  if (!hasSimd) {
    return `This browser lacks WebAssembly with SIMD, which the engine needs. Any Chrome, Edge or Firefox of the last years has it. ${INSTEAD}`;
  }
  if (!hasMemory64) {
    return `This browser’s WebAssembly has no 64-bit memory, for which the engine is built. Chrome and Edge 133, Firefox 134 and later have it; Safari did not when this was written. ${INSTEAD}`;
  }
  if (!hasKeys) {
    return `This browser lacks Ed25519 or X25519 keys, by which prompts are sealed to this tab. Chrome 137, Firefox 130 or Safari 17 and later have them; the page must be opened by https:// or on localhost. ${INSTEAD}`;
  }
  return null;
}

function rolesOf(seen: DeviceSeen, blocker: string | null): RoleFit[] {
  if (blocker !== null) {
    const because = 'This browser cannot run the engine.';
    return (['answer', 'check', 'embed'] as const).map((role) => ({ role, fits: false, because }));
  }
  const slow = slownessOf(seen);
  return [
    {
      role: 'answer',
      fits: slow === null,
      because: slow ?? 'This device can write answers while somebody waits for them.',
    },
    { role: 'check', fits: true, because: 'Nobody waits for a check: any device will do.' },
    { role: 'embed', fits: true, because: 'Models that turn texts into numbers are small, where the router has one.' },
  ];
}

/** Why nobody should wait for answers of this device; null when they may. */
function slownessOf({ cores, memoryBytes, isPhone, battery }: DeviceSeen): string | null {
  if (cores < 2) return 'With a single core, answers would be slow and the device would feel it: checking fits better.';
  if (memoryBytes !== null && memoryBytes < LITTLE_MEMORY_BYTES) {
    return 'With so little memory the browser may end the page in the middle of an answer: checking fits better.';
  }
  if (isPhone && battery?.isPluggedIn !== true) {
    return 'A phone sleeps as soon as nobody looks, and answers break off: checking fits better, or plug it in and leave the page open.';
  }
  return null;
}

function findingsOf(seen: DeviceSeen): Finding[] {
  const { cores, isIsolated, memoryBytes, storageBytes, battery, network } = seen;
  const found: (Finding | null)[] = [
    finding(
      'Engine',
      seen.hasSimd && seen.hasMemory64,
      'WebAssembly with SIMD and 64-bit memory: answers are written on the processor.',
      `WebAssembly ${seen.hasSimd ? 'has no 64-bit memory here' : 'with SIMD is not there'}.`,
      'missing',
    ),
    graphics(seen),
    finding(
      'Sealing',
      seen.hasKeys,
      'Keys are made in this browser, and cannot leave it.',
      'Modern keys are not there.',
      'missing',
    ),
    finding(
      'Processor',
      cores >= 2,
      `${cores} cores; one is used${isIsolated ? '' : ', and threads are not possible here'}.`,
      '1 core: the page and the model share it.',
    ),
    memoryBytes === null
      ? {
          name: 'Memory',
          verdict: 'limited',
          text: 'This browser does not say how much there is: models up to 1 GB are tried.',
        }
      : finding(
          'Memory',
          memoryBytes >= 4 * GB,
          `At least ${gigabytes(memoryBytes)} GB.`,
          `About ${gigabytes(memoryBytes)} GB: small models fit.`,
        ),
    storage(seen),
    battery === null
      ? null
      : finding(
          'Power',
          battery.isPluggedIn,
          'Plugged in.',
          `On battery, ${Math.round(battery.level * 100)} %. See “When it may work” below.`,
        ),
    network === null || !(network.isMetered || network.isSlow)
      ? null
      : {
          name: 'Connection',
          verdict: 'limited',
          text: network.isMetered
            ? 'Data may cost you money here: a model is downloaded once, and you can set a limit for each day below.'
            : 'Slow: the first download takes a while, and goes on where it stopped.',
        },
    finding(
      'Direct links',
      seen.hasLinks,
      'Possible, if you allow them.',
      'Not possible here: everything goes by relay.',
    ),
  ];
  if (storageBytes !== null && storageBytes < LITTLE_STORAGE_BYTES) {
    found.push({
      name: 'Room',
      verdict: 'limited',
      text: `${Math.round(storageBytes / 1e6)} MB may be kept: small models only.`,
    });
  }
  return found.filter((one) => one !== null);
}

function finding(
  name: string,
  isGood: boolean,
  good: string,
  bad: string,
  worst: 'limited' | 'missing' = 'limited',
): Finding {
  return { name, verdict: isGood ? 'good' : worst, text: isGood ? good : bad };
}

function graphics({ gpu, hasGpuInterface }: DeviceSeen): Finding {
  if (gpu !== null) {
    return { name: 'Graphics', verdict: gpu.runsModels && !gpu.isSoftware ? 'good' : 'limited', text: gpu.text };
  }
  const text = hasGpuInterface
    ? 'The browser offers none to pages: the processor does the work.'
    : 'This browser has no WebGPU: the processor does the work.';
  return { name: 'Graphics', verdict: 'limited', text };
}

function storage({ keepsDownloads, keepsKeys }: DeviceSeen): Finding {
  if (keepsDownloads && keepsKeys) {
    return {
      name: 'Storage',
      verdict: 'good',
      text: 'What is downloaded is kept for the next visit; you can delete it below.',
    };
  }
  const text = keepsKeys
    ? 'This browser keeps no downloads: the model is fetched again at each visit.'
    : 'This browser keeps nothing (a private window, or storage is switched off): it works, and the next visit begins anew.';
  return { name: 'Storage', verdict: 'limited', text };
}

function ladderOf({ memoryBytes, storageBytes, keepsDownloads, gpu }: DeviceSeen): LadderDevice {
  const isUseful = gpu?.runsModels === true && !gpu.isSoftware;
  return {
    memoryBytes,
    gpu: isUseful ? { shaderF16: gpu.hasShaderF16 } : null,
    // What is not kept is held in memory, whatever the quota says.
    storageBytes: keepsDownloads ? storageBytes : null,
    bytesPerSecond: null,
  };
}

function gigabytes(bytes: number): string {
  const figure = bytes / 2 ** 30;
  return figure < 1 ? figure.toFixed(1) : String(Math.round(figure));
}
