import { describe, expect, it } from 'vitest';
import { fits, misfit } from './fits-device.ts';
import { estimateMemory } from './memory-estimate.ts';

const GIB = 1024 ** 3;
const laptop = { memoryBytes: 16 * GIB, gpu: { shaderF16: true } };
const gguf = { format: 'gguf', memoryBytes: 2 * GIB, needs: [] } as const;
const mlc = { format: 'mlc', memoryBytes: 2 * GIB, needs: ['webgpu', 'shader-f16'] } as const;

describe('a variant and a device', () => {
  it('fit where there is twice the memory, and the GPU that it needs', () => {
    expect([misfit(gguf, laptop), misfit(mlc, laptop)]).toEqual([null, null]);
    expect(fits(gguf, { memoryBytes: 4 * GIB, gpu: null })).toBe(true);
  });

  it('do not fit for a reason that can be told', () => {
    const reasons = [
      misfit(mlc, { ...laptop, gpu: null }),
      misfit(mlc, { ...laptop, gpu: { shaderF16: false } }),
      misfit({ ...mlc, memoryBytes: 9 * GIB }, laptop),
      misfit({ ...gguf, memoryBytes: 5 * GIB }, laptop),
    ];
    expect(reasons).toEqual(['no_webgpu', 'no_shader_f16', 'too_large_for_device', 'too_large_for_engine']);
  });

  it('are taken for those of a modest device where the browser does not say', () => {
    const unknown = { memoryBytes: null, gpu: null };
    expect([fits(gguf, unknown), fits({ ...gguf, memoryBytes: 2 * GIB + 1 }, unknown)]).toEqual([true, false]);
  });
});

describe('figures that are none', () => {
  it.each([
    [{ ...gguf, memoryBytes: Number.NaN }, laptop],
    [gguf, { ...laptop, memoryBytes: Number.NaN }],
  ])('fit nothing', (variant, device) => {
    expect(misfit(variant, device)).toBe('too_large_for_device');
  });
});

describe('the memory of a model', () => {
  it('is its weights, keys and values of the whole context, a batch, and the engine', () => {
    const llama1b = { layers: 16, heads: 32, kvHeads: 8, headSize: 64, vocabulary: 128_256 };
    const kv = 2 * 16 * 8 * 64 * 2048 * 2;
    const batch = 64 * (32 * 2048 + 128_256) * 4;
    const bytes = estimateMemory(800_000_000, llama1b, 2048);
    expect(bytes).toBe(800_000_000 + kv + batch + 160 * 1024 * 1024);
    expect(estimateMemory(800_000_000, llama1b, 4096) - bytes).toBe(kv + 64 * 32 * 2048 * 4);
  });
});
