import { describe, expect, it } from 'vitest';
import embedded from '../../models/embedded/catalogue.json' with { type: 'json' };
import { type Catalogue, type ServedVariant, servedVariants } from '../../shared/classes/catalogue.ts';
import type { SelfTestQuestion } from '../../shared/classes/self-tests.ts';
import { LIKELIEST } from '../../shared/protocol/lease.ts';
import { type Engine, EngineError } from '../engine/engine.ts';
import { ScriptedEngine } from '../engine/scripted-engine.ts';
import { changeOver } from './change-over.ts';
import { ModelOnDevice } from './model-on-device.ts';

const WEIGHTS = new Blob(['GGUF']);
const [SERVED] = (await servedVariants(embedded as unknown as Catalogue)) as [ServedVariant];
const ASKED = { prompt: 'Name three colours.', sampling: { ...LIKELIEST, maxTokens: 8 } };

/** Fails where it is told to, from then on. */
class FailingEngine extends ScriptedEngine {
  loads = 0;
  disposals = 0;
  failsAt: 'load' | 'generate' | 'dispose' | null = null;

  override async load(...args: Parameters<ScriptedEngine['load']>) {
    this.loads++;
    if (this.failsAt === 'load') throw new EngineError('load_failed', 'There is no memory left.');
    return super.load(...args);
  }
  override async *generate(...args: Parameters<ScriptedEngine['generate']>) {
    if (this.failsAt === 'generate') throw new EngineError('crashed', 'It broke down.');
    yield* super.generate(...args);
  }
  override async dispose() {
    this.disposals++;
    if (this.failsAt === 'dispose') throw new Error('It does not let go.');
    return super.dispose();
  }
}

function model(engine: Engine, known: readonly SelfTestQuestion[] = [], signal = new AbortController().signal) {
  return new ModelOnDevice(SERVED, WEIGHTS, { engineFor: () => engine, known, onEnded: () => undefined, signal });
}

async function serving(signal?: AbortSignal) {
  const engine = new FailingEngine();
  const before = model(engine, [], signal);
  await before.load();
  await before.prove();
  return { engine, before };
}

const NEVER = new AbortController().signal;

describe('a change from one model to another', () => {
  it('loads and tests the new one, and the one before is gone', async () => {
    const { engine, before } = await serving();
    const next = model(new FailingEngine());
    expect(await changeOver(before, () => next, NEVER)).toEqual({ outcome: 'changed', model: next });
    expect(next.tested.at).toBeGreaterThan(0);
    expect([engine.loads, engine.disposals > 1]).toEqual([1, true]);
  });

  it.each(['load', 'generate', 'dispose'] as const)(
    'whose new engine throws at %s leaves the one before at work, tested anew',
    async (place) => {
      const { engine, before } = await serving();
      const testedAt = before.tested.at;
      const failing = new FailingEngine();
      failing.failsAt = place;
      const change = await changeOver(before, () => model(failing), NEVER);
      expect(change).toMatchObject({ outcome: 'kept', why: expect.any(Error) });
      expect(engine.loads).toBe(2);
      expect(before.tested.at).toBeGreaterThanOrEqual(testedAt);
      await before.prove(); // It writes.
    },
  );

  it('whose new engine cannot even be made leaves the one before at work', async () => {
    const { engine, before } = await serving();
    const open = () => {
      throw new Error('There is no such engine.');
    };
    expect(await changeOver(before, open, NEVER)).toMatchObject({ outcome: 'kept' });
    expect(engine.loads).toBe(2);
  });

  it('to a model that computes wrongly here, or too slowly, is none: the outcome that is shown is that of the model that is loaded', async () => {
    const { before } = await serving();
    const wrong = model(new FailingEngine(), [{ ...ASKED, text: 'Red, green and blue, as every class knows.' }]);
    expect(await changeOver(before, () => wrong, NEVER)).toMatchObject({
      outcome: 'kept',
      why: { name: 'WrongDevice' },
    });
    expect([wrong.tested.outcome, before.tested.outcome]).toEqual(['wrong', 'steady']);
  });

  it('throws when neither works any more', async () => {
    const { engine, before } = await serving();
    const failing = new FailingEngine();
    failing.failsAt = 'load';
    engine.failsAt = 'load';
    await expect(changeOver(before, () => model(failing), NEVER)).rejects.toMatchObject({ reason: 'load_failed' });
  });

  it('that is stopped in the middle leaves nothing loaded', async () => {
    const stop = new AbortController();
    const { engine, before } = await serving(stop.signal);
    const next = new FailingEngine();
    const open = () => {
      stop.abort();
      return model(next, [], stop.signal);
    };
    await expect(changeOver(before, open, stop.signal)).rejects.toMatchObject({ name: 'AbortError' });
    expect([engine.loads, next.loads]).toEqual([1, 0]);
  });
});
