import { describe, expect, it } from 'vitest';
import { CHECK_DEADLINE_MS, SUBTASK_DEADLINE_MS, WRAP_DEADLINE_MS } from '../../shared/limits.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { settle, TestNetwork, type TestTab, until } from '../testing/network.ts';

/** mulberry32: a small seeded generator, so that a run can be repeated from its seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Honest tabs on a bad network: messages doubled, delayed and lost, sockets that break and come back, clients that leave, a pool that
 * forgets. Whatever happens: every task ends, its receipt holds, and no honest answer is called invalid.
 */
async function simulate(seed: number): Promise<void> {
  const random = seeded(seed);
  const network = await TestNetwork.create();
  const tabs: TestTab[] = [];
  for (let i = 0; i < 4; i++) {
    const tab = await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 1 }) });
    tab.wire.tamper = async (data) => {
      if (random() < 0.02) return null;
      if (random() < 0.05) await new Promise((resolve) => setTimeout(resolve, random() * 20));
      return data;
    };
    tabs.push(tab);
  }
  const script = setInterval(() => {
    const tab = tabs[Math.floor(random() * tabs.length)];
    if (tab === undefined) return;
    if (random() < 0.3 && tab.wire.isOpen) {
      tab.wire.break();
      setTimeout(() => tab.wire.retryNow(), random() * 60);
    }
    if (random() < 0.1) network.loseMemory();
  }, 25);

  const tasks: string[] = [];
  let settled = 0;
  const asking = Array.from({ length: 12 }, async (_, i) => {
    await new Promise((resolve) => setTimeout(resolve, random() * 400));
    const { task, want } = await network.open(`question ${i}`, { private: random() < 0.5 });
    tasks.push(want.task);
    if (random() < 0.2) setTimeout(() => void task.stop(), random() * 80);
    await network.follow(task, want).catch(() => undefined);
    settled++;
  });
  await Promise.race([Promise.all(asking), new Promise((resolve) => setTimeout(resolve, 1_500))]);
  clearInterval(script);
  for (const tab of tabs) tab.wire.retryNow();
  await settle(50);
  for (const step of [SUBTASK_DEADLINE_MS, WRAP_DEADLINE_MS, CHECK_DEADLINE_MS]) {
    await network.advance(step + 1);
    await settle(50);
  }
  await network.advance(SUBTASK_DEADLINE_MS + CHECK_DEADLINE_MS);
  await settle(50);

  await until(() => settled === asking.length, `every client of seed ${seed} knows how its task ended`);
  expect({ seed, isBusy: network.pool.isBusy }).toEqual({ seed, isBusy: false });
  for (const task of tasks) {
    const session = await network.session(task);
    const view = readOrNull(() => session.view(task));
    if (view === null) continue; // Refused before it was leased: there is nothing to keep.
    expect({ seed, status: view.status, invalid: view.verdict?.value === 'invalid' }).toEqual({
      seed,
      status: 'ended',
      invalid: false,
    });
    const { problems } = await verifyReceipt(session.receipt(task), { routerKey: network.keys.signer.publicKey });
    expect({ seed, problems }).toEqual({ seed, problems: [] });
  }
  for (const tab of tabs) await tab.tab.close();
}

function readOrNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

describe('[T1] [T2] every task ends, whatever the network does', () => {
  const fresh = Math.floor(Math.random() * 1e9);
  it.each([1, 2, 3, fresh])('seed %i', (seed) => simulate(seed), 30_000);
});
