import { withDeadline } from '../../shared/deadline.ts';
import { batteryOf } from '../budget/device-signals.ts';
import { hasWasmMemory64, hasWasmSimd } from '../engine/wasm-features.ts';
import { probeGpu } from './gpu.ts';
import type { DeviceSeen } from './judge-device.ts';

/** A question that a browser leaves open must not hold up the rest, ms. */
const DEADLINE_MS = 3_000;

type NavigatorExtras = {
  readonly deviceMemory?: number;
  readonly connection?: { readonly saveData?: boolean; readonly effectiveType?: string; readonly type?: string };
  readonly userAgentData?: { readonly mobile?: boolean };
};

/** Looks at the device and the browser, and changes nothing. Never throws; what cannot be found out is null. */
export async function lookAtDevice(): Promise<DeviceSeen> {
  const extras = navigator as Navigator & NavigatorExtras;
  const [gpu, battery, storage, keepsDownloads, keepsKeys, hasKeys] = await Promise.all([
    probeGpu(),
    withDeadline(batteryOf(), DEADLINE_MS, null),
    withDeadline(roomOf(), DEADLINE_MS, null),
    withDeadline(
      keeps(() => caches.open('shoal-probe').then(() => caches.delete('shoal-probe'))),
      DEADLINE_MS,
      false,
    ),
    withDeadline(keeps(openProbeDatabase), DEADLINE_MS, false),
    canMakeKeys(),
  ]);
  const { connection } = extras;
  return {
    hasSimd: hasWasmSimd(),
    hasMemory64: hasWasmMemory64(),
    hasKeys,
    hasLinks: typeof RTCPeerConnection === 'function',
    // WebKitGTK calls a page isolated that has no memory to share.
    isIsolated: globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer === 'function',
    cores: navigator.hardwareConcurrency ?? 1,
    memoryBytes: Number.isFinite(extras.deviceMemory) ? Number(extras.deviceMemory) * 2 ** 30 : null,
    hasGpuInterface: 'gpu' in navigator,
    gpu,
    storageBytes: storage,
    keepsDownloads,
    keepsKeys,
    battery: battery === null ? null : { isPluggedIn: battery.charging, level: battery.level },
    network:
      connection === undefined
        ? null
        : {
            isMetered: connection.saveData === true || connection.type === 'cellular',
            isSlow: ['slow-2g', '2g', '3g'].includes(connection.effectiveType ?? ''),
          },
    isPhone: extras.userAgentData?.mobile ?? /\b(Mobi|iPhone|iPad|Android)\b/i.test(navigator.userAgent),
  };
}

async function canMakeKeys(): Promise<boolean> {
  try {
    await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify']);
    await crypto.subtle.generateKey('X25519', false, ['deriveBits']);
    return true;
  } catch {
    return false;
  }
}

async function roomOf(): Promise<number | null> {
  try {
    const { quota, usage } = await navigator.storage.estimate();
    return Number.isFinite(quota) ? Math.max(0, Number(quota) - (usage ?? 0)) : null;
  } catch {
    return null;
  }
}

async function keeps(act: () => Promise<unknown>): Promise<boolean> {
  try {
    await act();
    return true;
  } catch {
    return false; // A private window, or storage switched off.
  }
}

function openProbeDatabase(): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('shoal-probe', 1);
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      request.result.close();
      indexedDB.deleteDatabase('shoal-probe');
      resolve();
    };
  });
}
