import { describe, expect, it } from 'vitest';
import { type GpuAdapter, probeGpu } from './gpu.ts';

const LARGE = {
  maxBufferSize: 2 ** 32,
  maxStorageBufferBindingSize: 2 ** 31,
  maxComputeWorkgroupStorageSize: 2 ** 16,
  maxStorageBuffersPerShaderStage: 16,
};

function gpuOf(part: Partial<GpuAdapter>) {
  const adapter: GpuAdapter = {
    info: { vendor: 'nvidia', architecture: 'ada', description: '' },
    features: new Set(['shader-f16']),
    limits: LARGE,
    ...part,
  };
  return { requestAdapter: async () => adapter };
}

describe('the look at the graphics processor', () => {
  it('says what a good one is and runs', async () => {
    expect(await probeGpu(gpuOf({}))).toEqual({
      vendor: 'nvidia',
      architecture: 'ada',
      description: '',
      isSoftware: false,
      hasShaderF16: true,
      maxBufferBytes: 2 ** 32,
      maxBindingBytes: 2 ** 31,
      runsModels: true,
      text: 'Graphics processor (nvidia ada): runs every model that fits its memory.',
    });
  });

  it('says that one without half-precision numbers runs fewer models', async () => {
    expect(await probeGpu(gpuOf({ features: new Set() }))).toMatchObject({
      hasShaderF16: false,
      runsModels: true,
      text: 'Graphics processor (nvidia ada): has no half-precision numbers, so it runs the f32 models only.',
    });
  });

  it.each([
    [{ info: { vendor: 'google', architecture: 'swiftshader', description: '' } }],
    [{ info: { vendor: 'x', architecture: '', description: 'a thing', isFallbackAdapter: true } }],
  ])('tells an imitation from the real thing: %j', async (part) => {
    expect(await probeGpu(gpuOf(part))).toMatchObject({ isSoftware: true, runsModels: true });
  });

  it.each(Object.keys(LARGE))('says when %s is too small for the engine', async (limit) => {
    expect(await probeGpu(gpuOf({ limits: { ...LARGE, [limit]: 8 } }))).toMatchObject({
      runsModels: false,
      text: 'Graphics processor (nvidia ada): its limits are too small for the engine.',
    });
  });

  it('has a name for one that gives none away', async () => {
    const info = { vendor: '', architecture: '', description: '' };
    expect((await probeGpu(gpuOf({ info })))?.text).toContain('(unnamed)');
  });

  it('finds nothing where there is none, it is refused, it fails, or it never answers', async () => {
    expect(await probeGpu(undefined)).toBeNull();
    expect(await probeGpu({ requestAdapter: async () => null })).toBeNull();
    expect(await probeGpu({ requestAdapter: () => Promise.reject(new Error('the driver crashed')) })).toBeNull();
    expect(await probeGpu({ requestAdapter: () => new Promise(() => undefined) }, 5)).toBeNull();
  });
});
