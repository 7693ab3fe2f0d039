/** What the engine's build asks of a browser's WebAssembly: each probe is a module that is valid only where the proposal is supported. */

/** One SIMD instruction (i8x16.splat). */
const SIMD_PROBE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

/** Nothing but a memory of one page, addressed by 64 bits. */
const MEMORY64_PROBE = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 5, 3, 1, 4, 1]);

export function hasWasmSimd(): boolean {
  return isValid(SIMD_PROBE);
}

/** WebKitGTK 2.50, of the age of Safari 26, has none. */
export function hasWasmMemory64(): boolean {
  return isValid(MEMORY64_PROBE);
}

function isValid(module: Uint8Array<ArrayBuffer>): boolean {
  return typeof WebAssembly === 'object' && WebAssembly.validate(module);
}
