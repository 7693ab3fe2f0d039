import { afterEach, expect, it, vi } from 'vitest';
import { hasWasmMemory64, hasWasmSimd } from './wasm-features.ts';

afterEach(() => vi.unstubAllGlobals());

it('the probes are modules that a WebAssembly with SIMD and 64-bit memory takes', () => {
  // V8 of Node 22 has SIMD; 64-bit memory came to V8 with Chrome 133, behind a flag before.
  expect(hasWasmSimd()).toBe(true);
  const seen: number[] = [];
  vi.stubGlobal('WebAssembly', { validate: (module: Uint8Array) => seen.push(...module.slice(8)) > 0 });
  expect(hasWasmMemory64()).toBe(true);
  // Section 5 of three bytes: one memory, flags 4 (addresses of 64 bits, no maximum), one page.
  expect(seen).toEqual([5, 3, 1, 4, 1]);
});

it('a browser without WebAssembly has neither', () => {
  vi.stubGlobal('WebAssembly', undefined);
  expect([hasWasmSimd(), hasWasmMemory64()]).toEqual([false, false]);
});
