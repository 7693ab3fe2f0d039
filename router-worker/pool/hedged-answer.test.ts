import { describe, expect, it } from 'vitest';
import { PACKET_HEADER_BYTES } from '../../shared/protocol/packets.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { type Engine, EngineError } from '../../web-miner/engine/engine.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { settle, type TestAnswer, TestNetwork, type TestTab, until } from '../testing/network.ts';

/** Never comes to its first token. */
const stuck = () => new ScriptedEngine({ prefillMsPerToken: 10_000, decodeMsPerToken: 1 });

/** Comes to its first token when it is told to, or breaks. */
function heldBack(): { readonly engine: Engine; readonly go: () => void; readonly break: () => void } {
  const engine = new ScriptedEngine();
  const going = Promise.withResolvers<void>();
  going.promise.catch(() => undefined);
  const write = engine.generate.bind(engine);
  engine.generate = async function* (request, signal) {
    let isFirst = true;
    for await (const event of write(request, signal)) {
      yield event;
      if (!isFirst) continue;
      isFirst = false;
      await Promise.race([going.promise, aborted(signal)]); // The prompt is taken up; nothing is written.
    }
  };
  return { engine, go: going.resolve, break: () => going.reject(new EngineError('crashed', 'out of memory')) };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}

/** Of the first frame, when it holds no text: its header, nonce, the content's header and the seal's tag. */
const EMPTY_FRAME_BYTES = 5 + 16 + 25 + 16;

/** Later than any first token is expected, and sooner than the deadline of one, ms. */
const LATE_MS = 60_000;

async function takenUp(tab: TestTab): Promise<void> {
  await until(() => tab.snapshot()?.working === 'answer', 'the tab works');
  await settle();
}

async function readersOf(network: TestNetwork, answer: TestAnswer): Promise<readonly string[]> {
  const routerKey = network.keys.signer.publicKey;
  const { problems, receipt } = await verifyReceipt(answer.verdict?.receipt, { routerKey });
  expect(problems).toEqual([]);
  return receipt?.readers.filter(({ role }) => role === 'answer').map(({ key }) => key) ?? [];
}

describe('an answer whose first token is late', () => {
  it.each([false, true])(
    '[N4] comes from a second tab of its class, and the first is stopped and not blamed (private: %s)',
    async (isPrivate) => {
      const network = await TestNetwork.create();
      const late = await network.addTab({ engine: stuck() });
      const { task, want } = await network.open('hello', { prefer: late.identity, level: 'none', private: isPrivate });
      const following = network.follow(task, want);
      await takenUp(late);
      const second = await network.addTab();
      await network.advance(LATE_MS);
      const answer = await following;
      const plain = await TestNetwork.create();
      await plain.addTab();
      expect(answer.text).toBe((await plain.ask('hello', { level: 'none', private: isPrivate })).text);
      expect(task.held?.lease).toMatchObject({ tab: second.identity });
      expect(await readersOf(network, answer)).toEqual([second.identity, late.identity]);
      await until(() => late.snapshot()?.working === null, 'the late one is stopped');
      expect(late.snapshot()?.counts).toMatchObject({ answers: 0, failed: 0, stopped: 1 });
      expect(network.pool.tabView(late.identity).records).toEqual([]);
      expect(network.pool.census()[0]?.free).toBe(2);
    },
  );

  /** Two tabs at work on one answer, neither of which has written anything. */
  async function hedged() {
    const network = await TestNetwork.create();
    const one = heldBack();
    const two = heldBack();
    const first = await network.addTab({ engine: one.engine });
    const { task, want } = await network.open('hello', { prefer: first.identity, level: 'none' });
    const following = network.follow(task, want);
    following.catch(() => undefined);
    await takenUp(first);
    const second = await network.addTab({ engine: two.engine });
    await network.advance(LATE_MS);
    await takenUp(second);
    return { network, task, want, following, one, two, first, second };
  }

  it('[N4] comes from the first tab when that is sooner after all: the second is stopped, and a reader', async () => {
    const { network, task, following, one, first, second } = await hedged();
    one.go();
    const answer = await following;
    expect(task.held?.lease).toMatchObject({ tab: first.identity });
    expect(await readersOf(network, answer)).toEqual([first.identity, second.identity]);
    expect(answer.updates.filter(({ type }) => type === 'leased' || type === 'accepted').length).toBe(2);
    expect(network.pool.census()[0]?.free).toBe(2);
  });

  it('[N4] comes from the tab that is the first to write text: a frame that says nothing wins nothing, and ends its sender’s seat', async () => {
    const { task, following, one, two, first, second } = await hedged();
    second.wire.tamper = (data) => {
      if (typeof data === 'string') return data;
      return data.slice(0, PACKET_HEADER_BYTES + EMPTY_FRAME_BYTES);
    };
    two.go();
    await until(() => second.wire.socket === null, 'it is sent away');
    one.go();
    await following;
    expect(task.held?.lease.tab).toBe(first.identity);
  });

  it('[N4] goes on with the second alone when the first is lost, and with the first alone when the second is', async () => {
    for (const loser of ['first', 'second'] as const) {
      const at = await hedged();
      const winner = loser === 'first' ? at.second : at.first;
      await at[loser].tab.close();
      await settle();
      (loser === 'first' ? at.two : at.one).go();
      const answer = await at.following;
      expect(at.task.held?.lease.tab).toBe(winner.identity);
      expect(await readersOf(at.network, answer)).toEqual([winner.identity, at[loser].identity]);
    }
  });

  it('[N4] goes on when the engine of one of both breaks, and fails when both break', async () => {
    const { task, following, one, two, second } = await hedged();
    one.break();
    await settle();
    two.go();
    await following;
    expect(task.held?.lease.tab).toBe(second.identity);
    const both = await hedged();
    both.two.break();
    await settle();
    both.one.break();
    await expect(both.following).rejects.toMatchObject({ code: 'engine_failed' });
  });

  it('[N4] [N1] that is begun by the second, which dies, goes on with a third', async () => {
    const network = await TestNetwork.create();
    const late = await network.addTab({ engine: stuck() });
    const { task, want } = await network.open('hello', { prefer: late.identity, level: 'none' });
    const following = network.follow(task, want);
    await takenUp(late);
    const second = await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 20 }) });
    await network.advance(LATE_MS);
    await until(() => task.held?.lease.tab === second.identity && task.nextFrame > 1, 'the second writes');
    const third = await network.addTab();
    await second.tab.close();
    const answer = await following;
    const plain = await TestNetwork.create();
    await plain.addTab();
    expect(answer.text).toBe((await plain.ask('hello', { level: 'none' })).text);
    expect(await readersOf(network, answer)).toEqual([third.identity, late.identity, second.identity]);
  });

  it('[T3] [N4] is stopped in both tabs when its client leaves', async () => {
    const { network, task, want, first, second } = await hedged();
    await task.stop();
    for (const tab of [first, second]) await until(() => tab.snapshot()?.working === null, 'it is free');
    await until(() => !network.pool.inHand([want.task]).includes(want.task), 'the pool is through with it');
    expect(network.pool.census()[0]?.free).toBe(2);
    expect((await network.session(want.task)).view(want.task)).toMatchObject({ outcome: 'cancelled' });
  });

  it('[N4] is not asked for twice when nobody else is there, while others wait, or when the budget is spent', async () => {
    const network = await TestNetwork.create();
    const late = [await network.addTab({ engine: stuck() }), await network.addTab({ engine: stuck() })];
    const tasks = [];
    for (const tab of late) tasks.push(await network.open('hello', { prefer: tab.identity, level: 'none' }));
    for (const tab of late) await takenUp(tab);
    await network.advance(LATE_MS); // Nobody is free.
    const hedges = () => network.events.filter(({ event }) => event === 'task_hedged').length;
    expect(hedges()).toBe(0);
    await network.addTab({ engine: stuck() });
    await network.addTab({ engine: stuck() });
    await network.advance(1_000);
    expect(hedges()).toBe(1); // What one may cost is earned by twenty.
    for (const { task } of tasks) await task.stop();
  });

  it('[N4] [K16] is not asked for twice when one tab alone is meant', async () => {
    const network = await TestNetwork.create();
    const late = await network.addTab({ engine: stuck() });
    const { task } = await network.open('hello', { only: late.identity, level: 'none' });
    await takenUp(late);
    await network.addTab();
    await network.advance(LATE_MS);
    expect(network.events.filter(({ event }) => event === 'task_hedged')).toEqual([]);
    await task.stop();
  });
});
