import { beforeAll, describe, expect, it } from 'vitest';
import embedded from '../../models/embedded/catalogue.json' with { type: 'json' };
import { type Catalogue, everyClass, type ServedVariant } from '../../shared/classes/catalogue.ts';
import { isExactClass } from '../../shared/classes/class-id.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { TEST_SAMPLING, TestNetwork } from '../testing/network.ts';

/** A model that runs on graphics processors alone; the engines are scripted ones. */
let served: ServedVariant;

beforeAll(async () => {
  const [model] = (embedded as Catalogue).models;
  const [variant] = model!.variants;
  const mlc = { ...variant!, id: 'q4f32_1', format: 'mlc' as const, needs: ['webgpu' as const] };
  const [only] = await everyClass({ v: 2, models: [{ ...model!, id: 'on-gpus', variants: [mlc] }] });
  served = only!;
});

describe('a class of graphics processors', () => {
  it('is near, and its answers are checked by likeness: no limits were measured for reading them', async () => {
    const running = { model: served.model.id, variant: served.variant.id, class: served.class };
    const network = await TestNetwork.create();
    await network.addTab(running);
    await network.addTab(running);
    const answer = await network.ask('hello', { variants: [running], sampling: { ...TEST_SAMPLING, temperature: 0 } });
    expect(isExactClass(served.class)).toBe(false);
    expect(answer.verdict?.verdict).toMatchObject({ method: 'embedding-similarity', differ: 0 });
    const { problems, receipt } = await verifyReceipt(answer.verdict?.receipt, {
      routerKey: network.keys.signer.publicKey,
    });
    expect({ problems, class: receipt?.class }).toEqual({ problems: [], class: served.class });
  });
});
