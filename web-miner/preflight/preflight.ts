/** What this device and browser can do, in a person's words. */
export interface Finding {
  readonly name: string;
  readonly verdict: 'good' | 'limited' | 'missing';
  readonly text: string;
}

export interface Preflight {
  readonly findings: readonly Finding[];
  /** Why this browser cannot serve at all; null when it can. */
  readonly blocker: string | null;
}

/** Looks, and changes nothing. Never throws. */
export async function preflight(): Promise<Preflight> {
  const findings: Finding[] = [];
  const find = (name: string, verdict: Finding['verdict'], text: string) => findings.push({ name, verdict, text });
  let blocker: string | null = null;

  if (typeof WebAssembly !== 'object' || !WebAssembly.validate(SIMD_PROBE)) {
    blocker =
      'This browser lacks WebAssembly with SIMD, which the engine needs. Any Chrome, Edge or Firefox of the last years, or Safari 16.4 and later, has it.';
    find('Engine', 'missing', 'WebAssembly with SIMD is not there.');
  } else find('Engine', 'good', 'WebAssembly with SIMD: answers are written on the processor.');

  const keys = await hasKeys();
  if (!keys) {
    blocker ??=
      'This browser lacks Ed25519 or X25519 keys. Chrome 137, Firefox 130 or Safari 17 and later have them; the page must be opened by https:// or on localhost.';
  }
  find(
    'Sealing',
    keys ? 'good' : 'missing',
    keys ? 'Keys are made and kept in this browser.' : 'Modern keys are not there.',
  );

  const cores = navigator.hardwareConcurrency ?? 1;
  find('Processor', cores >= 2 ? 'good' : 'limited', `${cores} ${cores === 1 ? 'core' : 'cores'}; one is used.`);

  const memory = (navigator as { deviceMemory?: number }).deviceMemory;
  if (memory !== undefined) find('Memory', memory >= 4 ? 'good' : 'limited', `at least ${memory} GB.`);

  const links = typeof RTCPeerConnection === 'function';
  find(
    'Direct links',
    links ? 'good' : 'limited',
    links ? 'possible, if you allow them.' : 'not possible here: everything goes by relay.',
  );
  return { findings, blocker };
}

/** A module with one SIMD instruction (i8x16.splat): valid only where the proposal is supported. */
const SIMD_PROBE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

async function hasKeys(): Promise<boolean> {
  try {
    await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify']);
    await crypto.subtle.generateKey('X25519', false, ['deriveBits']);
    return true;
  } catch {
    return false;
  }
}
