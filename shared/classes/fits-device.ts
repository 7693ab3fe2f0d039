import type { Need, VariantEntry } from './catalogue.ts';

/** What a device has for a model. */
export interface DeviceRoom {
  /** The whole machine's memory, bytes; null: the browser does not say. Browsers round it, and name at most 8 GiB or 32 GiB. */
  readonly memoryBytes: number | null;
  /** Null: no WebGPU, or a software adapter that is not to be used. */
  readonly gpu: { readonly shaderF16: boolean } | null;
}

/** What a variant asks of a device. */
export interface VariantNeeds extends Readonly<Pick<VariantEntry, 'format' | 'memoryBytes'>> {
  readonly needs: readonly Need[];
}

/** Why a variant is not for a device. */
export type Misfit = 'no_webgpu' | 'no_shader_f16' | 'too_large_for_device' | 'too_large_for_engine';

/** Of the machine's memory a tab takes at most half: whoever lends it works with the rest. */
export const SHARE_OF_MEMORY = 0.5;
/** Assumed where the browser does not say (Firefox, Safari): what a modest laptop or phone has. */
export const ASSUMED_MEMORY_BYTES = 4 * 1024 ** 3;
/** The most that WebAssembly memory of the GGUF engine can grow to (`llama-cpp.js` of wllama 3.8.1: 65,536 pages). */
const WASM_HEAP_BYTES = 4 * 1024 ** 3;

/** Why the variant should not run on the device, or null when it fits comfortably. Says nothing about speed. */
export function misfit(
  { format, memoryBytes, needs }: VariantNeeds,
  { memoryBytes: deviceBytes, gpu }: DeviceRoom,
): Misfit | null {
  if (needs.includes('webgpu') && gpu === null) return 'no_webgpu';
  if (needs.includes('shader-f16') && gpu?.shaderF16 !== true) return 'no_shader_f16';
  if (format === 'gguf' && memoryBytes > WASM_HEAP_BYTES) return 'too_large_for_engine';
  const roomBytes = (deviceBytes ?? ASSUMED_MEMORY_BYTES) * SHARE_OF_MEMORY;
  // Asked this way round, what is no number fits nowhere.
  if (!(memoryBytes <= roomBytes)) return 'too_large_for_device';
  return null;
}

export function fits(variant: VariantNeeds, device: DeviceRoom): boolean {
  return misfit(variant, device) === null;
}
