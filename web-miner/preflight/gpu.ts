import { withDeadline } from '../../shared/deadline.ts';

/** The graphics processor that a browser offers to pages, and whether an engine can use it. */
export interface FoundGpu {
  /** As the browser gives them away: often coarse, or empty. */
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  /** The browser computes on the processor instead: right, and far too slow to serve. */
  readonly isSoftware: boolean;
  /** Half-precision numbers in shaders: models named `f16` need them. */
  readonly hasShaderF16: boolean;
  /** Largest single buffer, and the largest that one shader can look at, bytes. */
  readonly maxBufferBytes: number;
  readonly maxBindingBytes: number;
  /** Whether web-llm starts on it at all. */
  readonly runsModels: boolean;
  /** What it means, in a sentence for the person in front of it. */
  readonly text: string;
}

/** A driver that hangs would hang the whole look at the device, ms. */
const PROBE_DEADLINE_MS = 5_000;

/**
 * What web-llm 0.2.79 asks of an adapter before it starts (`detectGPUDevice` in its runtime): it falls back to these sizes and gives up below them. The
 * last two are what its shaders are compiled for.
 */
const NEEDED_LIMITS = {
  maxBufferSize: 2 ** 28,
  maxStorageBufferBindingSize: 2 ** 27,
  maxComputeWorkgroupStorageSize: 2 ** 15,
  maxStorageBuffersPerShaderStage: 10,
} as const satisfies Partial<Record<keyof GPUSupportedLimits, number>>;

/** What of an adapter is looked at; a test hands in its own. */
export interface GpuAdapter {
  readonly info: Pick<GPUAdapterInfo, 'vendor' | 'architecture' | 'description'> & {
    readonly isFallbackAdapter?: boolean;
  };
  readonly features: { has(name: string): boolean };
  readonly limits: Readonly<Record<keyof typeof NEEDED_LIMITS, number>>;
}

export interface Gpu {
  requestAdapter(options: { readonly powerPreference: 'high-performance' }): Promise<GpuAdapter | null>;
}

/** Looks for a graphics processor, and changes nothing. `null` when there is none, it refuses, or does not answer in time. Never throws. */
export async function probeGpu(
  gpu: Gpu | undefined = navigator.gpu,
  deadlineMs: number = PROBE_DEADLINE_MS,
): Promise<FoundGpu | null> {
  if (gpu === undefined) return null;
  try {
    const asked = gpu.requestAdapter({ powerPreference: 'high-performance' });
    const adapter = await withDeadline(asked, deadlineMs, null);
    return adapter === null ? null : describe(adapter);
  } catch {
    return null;
  }
}

function describe({ info, features, limits }: GpuAdapter): FoundGpu {
  const { vendor, architecture, description } = info;
  const isSoftware =
    info.isFallbackAdapter === true || /swiftshader|llvmpipe|lavapipe/i.test(`${architecture} ${description}`);
  const runsModels = Object.entries(NEEDED_LIMITS).every(
    ([name, needed]) => limits[name as keyof typeof NEEDED_LIMITS] >= needed,
  );
  const found = {
    vendor,
    architecture,
    description,
    isSoftware,
    hasShaderF16: features.has('shader-f16'),
    maxBufferBytes: limits.maxBufferSize,
    maxBindingBytes: limits.maxStorageBufferBindingSize,
    runsModels,
  };
  return { ...found, text: sentence(found) };
}

function sentence(found: Omit<FoundGpu, 'text'>): string {
  const { isSoftware, hasShaderF16, runsModels } = found;
  const name =
    found.description || [found.vendor, found.architecture].filter((part) => part !== '').join(' ') || 'unnamed';
  if (!runsModels) return `Graphics processor (${name}): its limits are too small for the engine.`;
  if (isSoftware)
    return `Graphics processor (${name}): only imitated by the processor, which is far too slow to answer with.`;
  return hasShaderF16
    ? `Graphics processor (${name}): runs every model that fits its memory.`
    : `Graphics processor (${name}): has no half-precision numbers, so it runs the f32 models only.`;
}
