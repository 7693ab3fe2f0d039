import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Need } from '../../shared/classes/catalogue.ts';
import { type LadderDevice, type LadderEntry, objection, planLadder } from './model-ladder.ts';

const MB = 1e6;

function entry(name: string, megabytes: number, needs: readonly Need[] = []): LadderEntry {
  const bytes = megabytes * MB;
  const format = needs.length === 0 ? 'gguf' : 'mlc';
  return { name, class: `class of ${name}`, format, bytes, memoryBytes: bytes * 1.3, needs };
}

const PUP = entry('pup', 3);
const SMOL = entry('smol', 98);
const LLAMA = entry('llama', 800);
const LLAMA_GPU = entry('llama-gpu', 700, ['webgpu', 'shader-f16']);
const ALL = [SMOL, LLAMA_GPU, PUP, LLAMA];
const LAPTOP: LadderDevice = { memoryBytes: 8e9, storageBytes: 10e9, bytesPerSecond: null, gpu: null };

const steps = (device: LadderDevice, wanted: readonly string[] = []) => {
  const plan = planLadder(ALL, device, wanted);
  return [plan?.first.name, plan?.next?.name ?? null];
};

describe('the ladder of models', () => {
  it.each<[string, LadderDevice, readonly (string | null)[]]>([
    ['a laptop without a graphics processor', LAPTOP, ['pup', 'smol']],
    ['a laptop with one', { ...LAPTOP, gpu: { shaderF16: true } }, ['pup', 'llama-gpu']],
    ['a laptop with one that lacks half precision', { ...LAPTOP, gpu: { shaderF16: false } }, ['pup', 'smol']],
    ['a fast processor, as it was measured', { ...LAPTOP, bytesPerSecond: 5e9 }, ['pup', 'llama']],
    ['a slow one', { ...LAPTOP, bytesPerSecond: 1e8 }, ['pup', null]],
    ['a phone with little memory', { ...LAPTOP, memoryBytes: 2e8 }, ['pup', null]],
    [
      'a browser that says nothing',
      { memoryBytes: null, storageBytes: null, bytesPerSecond: null, gpu: null },
      ['pup', 'smol'],
    ],
    ['a private window with little room', { ...LAPTOP, storageBytes: 50 * MB }, ['pup', null]],
    ['a device on which nothing fits', { ...LAPTOP, memoryBytes: 1 }, ['pup', null]],
  ])('of %s', (_, device, expected) => {
    expect(steps(device)).toEqual(expected);
  });

  it('begins with the largest that is here within seconds, and changes over to none that is hardly larger', () => {
    const smaller = entry('pup:q4_0', 2);
    expect(planLadder([smaller, PUP], LAPTOP)).toMatchObject({ first: { name: 'pup' }, next: null });
    expect(planLadder([smaller, PUP, SMOL], LAPTOP)).toMatchObject({ first: { name: 'pup' }, next: { name: 'smol' } });
  });

  it('leads to what the network is short of, where that fits', () => {
    const fast = { ...LAPTOP, bytesPerSecond: 5e9 };
    expect(steps(fast, ['class of llama-gpu', 'class of smol'])).toEqual(['pup', 'smol']);
    expect(steps(fast, ['class of pup'])).toEqual(['pup', null]);
    expect(steps(LAPTOP, ['class of llama'])).toEqual(['pup', 'smol']);
  });

  it('says why it stays: the reason against the next larger one', () => {
    expect(planLadder(ALL, { ...LAPTOP, bytesPerSecond: 1e8 })?.because).toBe(
      'It is the largest that fits: of smol, it would write fewer than 5 tokens in a second.',
    );
    expect(planLadder([PUP], LAPTOP)?.because).toBe('It is the largest that the router has.');
    expect(planLadder([], LAPTOP)).toBeNull();
    expect(planLadder([LLAMA_GPU], LAPTOP)).toBeNull();
  });

  it('never names a model that the device should not run, unless nothing fits', () => {
    const device = fc.record<LadderDevice>({
      memoryBytes: fc.option(fc.integer({ min: 1, max: 64e9 })),
      storageBytes: fc.option(fc.integer({ min: 1, max: 64e9 })),
      bytesPerSecond: fc.option(fc.integer({ min: 1, max: 64e9 })),
      gpu: fc.option(fc.record({ shaderF16: fc.boolean() })),
    });
    fc.assert(
      fc.property(device, fc.subarray(ALL), (seen, entries) => {
        const plan = planLadder(entries, seen);
        if (plan?.next != null) expect([objection(plan.first, seen), objection(plan.next, seen)]).toEqual([null, null]);
        const isOnGraphics = [plan?.first, plan?.next].some((one) => one?.needs.includes('webgpu'));
        if (seen.gpu === null) expect(isOnGraphics).toBe(false);
      }),
    );
  });
});
