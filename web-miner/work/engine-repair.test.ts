import { describe, expect, it } from 'vitest';
import { EngineError } from '../engine/engine.ts';
import { BetweenWork } from './between-work.ts';
import { type BrokenTab, EngineRepair } from './engine-repair.ts';

/** A tab whose engine broke, with a diary. */
function broken() {
  const diary: string[] = [];
  const state: { engineFailure: string | null; answers: number } = { engineFailure: 'It hangs.', answers: 0 };
  const tab: BrokenTab = {
    withdraw: () => diary.push('withdraw'),
    resume: () => {
      state.engineFailure = null;
      diary.push('resume');
    },
    get snapshot() {
      return { engineFailure: state.engineFailure, counts: { answers: state.answers, checks: 0 } };
    },
  };
  return { diary, state, tab };
}

function repairing(load: () => Promise<void>) {
  const given: unknown[] = [];
  const between = new BetweenWork({ tab: () => null, tell: () => undefined, signal: new AbortController().signal });
  const repair = new EngineRepair({ between, load, giveUp: async (cause) => void given.push(cause) });
  return { repair, given, between };
}

describe('the repair of an engine', () => {
  it('takes the tab out, loads the model again, and takes work again', async () => {
    const { diary, tab } = broken();
    const { repair, given } = repairing(async () => void diary.push('load'));
    await Promise.all([repair.mend(tab, 'It hangs.'), repair.mend(tab, 'It hangs.')]);
    expect([diary, given]).toEqual([['withdraw', 'load', 'resume'], []]);
  });

  it('is tried once more only after something was done, and else given up with the reason', async () => {
    const { state, tab } = broken();
    const { repair, given } = repairing(async () => undefined);
    for (const answers of [0, 1]) {
      Object.assign(state, { answers, engineFailure: 'It hangs.' });
      await repair.mend(tab, 'It hangs.');
    }
    expect(given).toEqual([]);
    state.engineFailure = 'It hangs again.';
    await repair.mend(tab, 'It hangs again.');
    expect(given).toEqual([new EngineError('crashed', 'It hangs again.')]);
  });

  it('is given up when the model cannot be loaded', async () => {
    const { diary, tab } = broken();
    const cause = new EngineError('load_failed', 'There is no memory left.');
    const { repair, given } = repairing(() => Promise.reject(cause));
    await repair.mend(tab, 'It hangs.');
    expect([diary, given]).toEqual([['withdraw'], [cause]]);
  });

  it('waits for what has the engine, and is not needed where that loaded another model', async () => {
    const { diary, state, tab } = broken();
    const { repair, between } = repairing(async () => void diary.push('load'));
    const busy = between.inTurn(async () => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      state.engineFailure = null;
    });
    await repair.mend(tab, 'It hangs.');
    await busy;
    expect(diary).toEqual(['withdraw']);
  });
});
