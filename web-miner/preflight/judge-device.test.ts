import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DeviceSeen, judgeDevice } from './judge-device.ts';

const LAPTOP: DeviceSeen = {
  hasSimd: true,
  hasMemory64: true,
  hasKeys: true,
  hasLinks: true,
  isIsolated: true,
  cores: 8,
  memoryBytes: 8 * 2 ** 30,
  hasGpuInterface: true,
  gpu: null,
  storageBytes: 100e9,
  keepsDownloads: true,
  keepsKeys: true,
  battery: { isPluggedIn: true, level: 1 },
  network: { isMetered: false, isSlow: false },
  isPhone: false,
};

const GPU = {
  vendor: 'apple',
  architecture: 'm',
  description: '',
  isSoftware: false,
  hasShaderF16: true,
  maxBufferBytes: 2 ** 30,
  maxBindingBytes: 2 ** 30,
  runsModels: true,
  text: 'Graphics processor (apple m): runs every model that fits its memory.',
};

/** As these browsers answer, as far as their vendors document it. */
const FIREFOX: DeviceSeen = { ...LAPTOP, memoryBytes: null, battery: null, network: null, hasGpuInterface: false };
const SAFARI: DeviceSeen = { ...FIREFOX, hasMemory64: false, hasGpuInterface: true, gpu: GPU };
const PHONE: DeviceSeen = {
  ...LAPTOP,
  isPhone: true,
  memoryBytes: 4 * 2 ** 30,
  battery: { isPluggedIn: false, level: 0.4 },
};

const fit = (seen: DeviceSeen) =>
  judgeDevice(seen)
    .roles.filter(({ fits }) => fits)
    .map(({ role }) => role);
const limits = (seen: DeviceSeen) =>
  judgeDevice(seen)
    .findings.filter(({ verdict }) => verdict !== 'good')
    .map(({ name }) => name);

describe('what a device is good for', () => {
  it.each<[string, DeviceSeen, readonly string[], readonly string[]]>([
    ['a laptop with Chrome and no WebGPU', LAPTOP, ['answer', 'check', 'embed'], ['Graphics']],
    ['the same with a graphics processor', { ...LAPTOP, gpu: GPU }, ['answer', 'check', 'embed'], []],
    ['Firefox', FIREFOX, ['answer', 'check', 'embed'], ['Graphics', 'Memory']],
    ['Safari', SAFARI, [], ['Engine', 'Memory']],
    ['a phone on battery', PHONE, ['check', 'embed'], ['Graphics', 'Power']],
    [
      'a phone that is plugged in',
      { ...PHONE, battery: { isPluggedIn: true, level: 1 } },
      ['answer', 'check', 'embed'],
      ['Graphics'],
    ],
    ['a page without threads', { ...LAPTOP, isIsolated: false }, ['answer', 'check', 'embed'], ['Graphics']],
    [
      'a private window',
      { ...LAPTOP, keepsDownloads: false, keepsKeys: false },
      ['answer', 'check', 'embed'],
      ['Graphics', 'Storage'],
    ],
    [
      'a browser without Cache storage',
      { ...LAPTOP, keepsDownloads: false },
      ['answer', 'check', 'embed'],
      ['Graphics', 'Storage'],
    ],
    ['one core', { ...LAPTOP, cores: 1 }, ['check', 'embed'], ['Graphics', 'Processor']],
    ['one gigabyte', { ...LAPTOP, memoryBytes: 2 ** 30 }, ['check', 'embed'], ['Graphics', 'Memory']],
    [
      'a metered connection',
      { ...LAPTOP, network: { isMetered: true, isSlow: true } },
      ['answer', 'check', 'embed'],
      ['Graphics', 'Connection'],
    ],
    ['little room', { ...LAPTOP, storageBytes: 1e8 }, ['answer', 'check', 'embed'], ['Graphics', 'Room']],
    ['an old browser without SIMD', { ...LAPTOP, hasSimd: false }, [], ['Engine', 'Graphics']],
    ['an old browser without keys', { ...LAPTOP, hasKeys: false }, [], ['Graphics', 'Sealing']],
  ])('%s', (_, seen, roles, limited) => {
    expect([fit(seen), limits(seen)]).toEqual([roles, limited]);
  });

  it('is never a dead end: a role fits, or the page says why not and what is possible instead', () => {
    const seen = fc.record<DeviceSeen>({
      hasSimd: fc.boolean(),
      hasMemory64: fc.boolean(),
      hasKeys: fc.boolean(),
      hasLinks: fc.boolean(),
      isIsolated: fc.boolean(),
      cores: fc.integer({ min: 1, max: 64 }),
      memoryBytes: fc.option(fc.integer({ min: 1, max: 64e9 })),
      hasGpuInterface: fc.boolean(),
      gpu: fc.option(fc.constant(GPU)),
      storageBytes: fc.option(fc.nat()),
      keepsDownloads: fc.boolean(),
      keepsKeys: fc.boolean(),
      battery: fc.option(fc.record({ isPluggedIn: fc.boolean(), level: fc.double({ min: 0, max: 1, noNaN: true }) })),
      network: fc.option(fc.record({ isMetered: fc.boolean(), isSlow: fc.boolean() })),
      isPhone: fc.boolean(),
    });
    fc.assert(
      fc.property(seen, (device) => {
        const { blocker, findings, roles } = judgeDevice(device);
        if (blocker === null) expect(fit(device)).toContain('check');
        else expect(blocker).toContain('You can still ask');
        for (const { text } of findings) expect(text).toMatch(/^[^\s].*\.$/);
        for (const { because } of roles) expect(because).toMatch(/\.$/);
        expect(new Set(findings.map(({ name }) => name)).size).toBe(findings.length);
      }),
    );
  });

  it('decides what the ladder may take: half precision and graphics where both are real', () => {
    expect(judgeDevice({ ...LAPTOP, gpu: GPU }).ladder.gpu).toEqual({ shaderF16: true });
    expect(judgeDevice({ ...LAPTOP, gpu: { ...GPU, isSoftware: true } }).ladder.gpu).toBeNull();
    expect(judgeDevice({ ...LAPTOP, keepsDownloads: false }).ladder.storageBytes).toBeNull();
  });
});
