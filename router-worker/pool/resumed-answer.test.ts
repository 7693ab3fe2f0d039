import { describe, expect, it, vi } from 'vitest';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import type { TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { RecordBook } from '../record/record-book.ts';
import { AlteringEngine } from '../testing/altering-engine.ts';
import { settle, TEST_SAMPLING, type TestAnswer, TestNetwork, type TestTab, until } from '../testing/network.ts';
import type { LeaseWant } from './pool-ports.ts';

/** Slow enough to be lost in the middle of an answer. */
const paced = () => new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 15 });

/** Writes other words than its class does, with this many left as they are. */
function other(honestTokens: number): AlteringEngine {
  return new AlteringEngine(paced(), (event, index) =>
    event.type === 'delta' && index >= honestTokens ? { ...event, text: event.text.toUpperCase() } : event,
  );
}

interface Asking {
  readonly want: LeaseWant;
  readonly updates: TaskUpdate[];
  readonly tokens: () => number;
  readonly text: () => string;
  readonly end: Promise<unknown>;
  readonly stop: () => Promise<void>;
  readonly tab: () => string | undefined;
}

/** A question whose answer is looked at while it comes. */
async function ask(network: TestNetwork, part: Partial<LeaseWant> = {}): Promise<Asking> {
  const { task, want } = await network.open('tell me of the sea', { level: 'none', ...part });
  const updates: TaskUpdate[] = [];
  const end = (async () => {
    for await (const update of task.updates()) updates.push(update);
  })();
  end.catch(() => undefined);
  const texts = () => updates.flatMap((update) => (update.type === 'text' ? [update] : []));
  return {
    want,
    updates,
    tokens: () => texts().reduce((sum, { tokens }) => sum + tokens, 0),
    text: () =>
      texts()
        .map(({ text }) => text)
        .join(''),
    end,
    stop: () => task.stop(),
    tab: () => task.held?.lease.tab,
  };
}

const written = (asking: Asking, tokens: number) =>
  until(() => asking.tokens() >= tokens, `${tokens} tokens are written`);

async function undisturbed(part: Partial<LeaseWant> = {}): Promise<TestAnswer> {
  const network = await TestNetwork.create();
  await network.addTab();
  return network.ask('tell me of the sea', { level: 'none', ...part });
}

async function viewOf(network: TestNetwork, { want }: Asking) {
  return (await network.session(want.task)).view(want.task);
}

const LOST = { code: 'tab_lost', nextStep: 'Send the request again.' };

describe('an answer whose tab dies in the middle of it', () => {
  it.each([
    { temperature: 0, private: false },
    { temperature: 0.8, private: false },
    { temperature: 0.8, private: true },
  ])('[N1] [N3] goes on with a tab of its class, nothing lost and nothing twice: %o', async (how) => {
    const sampling = { ...TEST_SAMPLING, temperature: how.temperature };
    const network = await TestNetwork.create();
    const first = await network.addTab({ engine: paced() });
    const asking = await ask(network, { sampling, private: how.private });
    await written(asking, 5);
    const second = await network.addTab({ engine: paced() });
    await first.tab.close();
    await asking.end;
    const whole = await undisturbed({ sampling });
    expect(asking.text()).toBe(whole.text);
    const tokensOf = (updates: readonly TaskUpdate[]) =>
      updates.reduce((sum, update) => sum + (update.type === 'text' ? update.tokens : 0), 0);
    expect(asking.tokens()).toBe(tokensOf(whole.updates));
    const end = whole.updates.find(({ type }) => type === 'answered');
    expect(asking.updates.filter(({ type }) => type === 'answered')).toEqual([end]);
    expect(await viewOf(network, asking)).toMatchObject({
      outcome: 'answered',
      tab: second.identity,
      earlier_tabs: [first.identity],
      usage: { completion_tokens: end?.type === 'answered' ? end.completionTokens : null },
    });
  });

  it('[N1] [N3] is checked like any other, and its receipt lists both as readers and the second as its author', async () => {
    const network = await TestNetwork.create();
    const first = await network.addTab({ engine: paced() });
    const asking = await ask(network, { level: 'cross' });
    await written(asking, 5);
    const second = await network.addTab({ engine: paced() });
    const third = await network.addTab();
    await first.tab.close();
    await asking.end;
    const ended = asking.updates.at(-1);
    if (ended?.type !== 'ended') throw new Error('it did not end');
    const routerKey = network.keys.signer.publicKey;
    const { valid, problems, receipt } = await verifyReceipt(ended.receipt, { routerKey });
    expect({ valid, problems, verdict: ended.verdict.value }).toEqual({ valid: true, problems: [], verdict: 'valid' });
    const answering = receipt?.readers.filter(({ role }) => role === 'answer').map(({ key }) => key);
    const author = asking.tab();
    expect([second.identity, third.identity]).toContain(author);
    expect(answering).toEqual([author, first.identity]);
  });

  it('[N1] goes on when the next tab dies, too, before or after it has written as much', async () => {
    const network = await TestNetwork.create();
    const first = await network.addTab({ engine: paced() });
    const asking = await ask(network);
    await written(asking, 8);
    const second = await network.addTab({ engine: paced() });
    await first.tab.close();
    await until(() => second.snapshot()?.working === 'answer', 'the second works');
    await until(() => asking.tab() === second.identity, 'the client knows the second');
    const third = await network.addTab();
    await second.tab.close(); // In the middle of what is swallowed.
    await asking.end;
    expect(asking.text()).toBe((await undisturbed()).text);
    expect(await viewOf(network, asking)).toMatchObject({
      tab: third.identity,
      earlier_tabs: [first.identity, second.identity],
    });
  });

  it('[N3] [T4] fails when the third tab dies, with an error that says so', async () => {
    const network = await TestNetwork.create();
    let tab = await network.addTab({ engine: paced() });
    const asking = await ask(network);
    for (let round = 0; round < 3; round++) {
      await until(() => tab.snapshot()?.working === 'answer', 'it works');
      await written(asking, 5 * (round + 1));
      const next = await network.addTab({ engine: paced() });
      await tab.tab.close();
      tab = next;
    }
    await expect(asking.end).rejects.toMatchObject(LOST);
    await expect(asking.end).rejects.toThrow('What arrived is not the whole answer');
    expect(await viewOf(network, asking)).toMatchObject({ status: 'ended', outcome: 'failed' });
    expect(tab.snapshot()?.counts.answers).toBe(0);
  });

  it('[N3] [T4] fails at once where nobody is of its exact class, or the class is no exact one', async () => {
    for (const classes of [
      ['cls_AAAAAAAAAAAAAAAAAAAAAA', 'cls_BBBBBBBBBBBBBBBBBBBBBB'],
      ['cln_AAAAAAAAAAAAAAAAAAAAAA', 'cln_AAAAAAAAAAAAAAAAAAAAAA'],
    ]) {
      const network = await TestNetwork.create();
      const first = await network.addTab({ engine: paced(), class: classes[0]! });
      const variants = classes.map((id) => ({ model: 'test-model', variant: 'q8_0', class: id }));
      const asking = await ask(network, { variants });
      await written(asking, 5);
      const second = await network.addTab({ class: classes[1]! });
      await first.tab.close();
      await expect(asking.end).rejects.toMatchObject(LOST);
      expect(second.snapshot()?.counts.answers).toBe(0);
      expect(await viewOf(network, asking)).toMatchObject({ outcome: 'failed', earlier_tabs: [] });
    }
  });

  it('[N1] [N3] waits for a tab of its class that is busy, before those in the line', async () => {
    const network = await TestNetwork.create();
    const first = await network.addTab({ engine: paced() });
    const second = await network.addTab({ engine: paced() });
    const asking = await ask(network, { prefer: first.identity });
    await written(asking, 5);
    const busy = await ask(network, { prefer: second.identity });
    const waiting = await ask(network);
    await first.tab.close();
    await Promise.all([asking.end, busy.end, waiting.end]);
    expect(asking.text()).toBe((await undisturbed()).text);
    expect(asking.updates.filter(({ type }) => type === 'waiting')).not.toEqual([]);
    const order = network.events.filter(({ event }) => event === 'task_leased').map(({ fields }) => fields.task);
    expect(order).toEqual([asking, busy, asking, waiting].map(({ want }) => want.task));
  });

  it('[N3] fails when none is free in time, and when its client leaves meanwhile it is stopped', async () => {
    for (const leaves of [false, true]) {
      const network = await TestNetwork.create();
      const first = await network.addTab({ engine: paced() });
      const second = await network.addTab({
        engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 60 }),
      });
      const asking = await ask(network, { prefer: first.identity });
      await written(asking, 3);
      const busy = await ask(network, { prefer: second.identity });
      await written(busy, 1);
      await first.tab.close();
      await settle();
      if (leaves) await asking.stop();
      else await network.advance(31_000);
      await expect(asking.end).rejects.toMatchObject({ code: leaves ? 'cancelled' : 'tab_lost' });
      await settle();
      expect(await viewOf(network, asking)).toMatchObject({ outcome: leaves ? 'cancelled' : 'failed' });
      await busy.stop();
    }
  });

  it('[T3] is stopped while it is written again', async () => {
    const network = await TestNetwork.create();
    const first = await network.addTab({ engine: paced() });
    const asking = await ask(network);
    await written(asking, 10);
    const second = await network.addTab({ engine: paced() });
    await first.tab.close();
    await until(() => second.snapshot()?.working === 'answer', 'the second works');
    await asking.stop();
    await until(() => second.snapshot()?.working === null, 'the second is free');
    await until(() => network.pool.census()[0]?.free === 1, 'the pool knows it');
    const end = { status: 'ended', outcome: 'cancelled' };
    await expect.poll(() => viewOf(network, asking), { timeout: 5_000 }).toMatchObject(end); // Its commit is on its way.
  });

  it('[N2] ends as disputed when the other tab writes something else, and shows none of it', async () => {
    const network = await TestNetwork.create();
    const first = await network.addTab({ engine: paced() });
    const asking = await ask(network);
    await written(asking, 6);
    const told = asking.text();
    const second = await network.addTab({ engine: other(4) });
    await first.tab.close();
    await expect(asking.end).rejects.toMatchObject({ code: 'answer_disputed', status: 502 });
    const whole = (await undisturbed()).text;
    expect(whole.startsWith(asking.text()) && asking.text().startsWith(told)).toBe(true);
    await until(() => second.snapshot()?.working === null, 'the second is stopped');
  });

  it('[N2] ends as disputed when the dead tab had lied: the honest one disagrees', async () => {
    const network = await TestNetwork.create();
    const liar = await network.addTab({ engine: other(0) });
    const asking = await ask(network);
    await written(asking, 6);
    await network.addTab();
    await liar.tab.close();
    await expect(asking.end).rejects.toMatchObject({ code: 'answer_disputed' });
  });

  it('[N2] is told to the pool by the router’s own reader: it is on both records, and the task has failed', async () => {
    const network = await TestNetwork.create();
    const liar = await network.addTab({ engine: other(0) });
    const asking = await ask(network);
    await written(asking, 6);
    const honest = await network.addTab({ engine: paced() });
    await liar.tab.close();
    await expect(asking.end).rejects.toMatchObject({ code: 'answer_disputed' });
    await settle();
    const tabs: TestTab[] = [liar, honest];
    const disputes = tabs.map(({ identity }) => network.pool.tabView(identity).records[0]?.counts.disputed);
    expect(disputes).toEqual([1, 1]);
    expect(await viewOf(network, asking)).toMatchObject({ outcome: 'failed' });
  });

  it('[N2] is on both records, once, though the other tab was through with it before its reader had compared', async () => {
    const network = await TestNetwork.create();
    const liar = await network.addTab({ engine: other(0) });
    const asking = await ask(network);
    await written(asking, 6);
    const told = Promise.withResolvers<void>();
    const leave = network.pool.leave.bind(network.pool);
    network.pool.leave = (task, why) => void told.promise.then(() => leave(task, why));
    const honest = await network.addTab();
    await liar.tab.close();
    await expect(asking.end).rejects.toMatchObject({ code: 'answer_disputed' });
    await expect.poll(() => viewOf(network, asking)).toMatchObject({ status: 'ended' });
    told.resolve();
    await settle();
    leave(asking.want.task, 'answer_disputed');
    const disputes = [liar, honest].map(
      ({ identity }) => network.pool.tabView(identity).records[0]?.counts.disputed ?? 0,
    );
    expect(disputes).toEqual([1, 1]);
  });

  it.each([true, false])(
    '[N6] is checked at basic whatever the rate: a reader of its own finds out nothing that it could be paid for; private: %s',
    async (isPrivate) => {
      const rate = vi.spyOn(RecordBook.prototype, 'rate').mockReturnValue(0);
      try {
        const network = await TestNetwork.create();
        const first = await network.addTab({ engine: paced() });
        const part = { level: 'basic', private: isPrivate } as const;
        const usual = await ask(network, part);
        await usual.end;
        const asking = await ask(network, part);
        await written(asking, 5);
        for (let i = 0; i < 2; i++) await network.addTab({ engine: paced() });
        await first.tab.close();
        await asking.end;
        expect([usual, asking].map(({ updates }) => updates.at(-1))).toMatchObject([
          { type: 'ended', verdict: { value: 'unchecked', reason: 'not_sampled' } },
          { type: 'ended', verdict: { value: 'valid' } },
        ]);
      } finally {
        rate.mockRestore();
      }
    },
  );

  it('[N1] goes on when the dead tab had written all of it, but not committed', async () => {
    const network = await TestNetwork.create();
    const first = await network.addTab();
    first.wire.tamper = (data) => (typeof data === 'string' && data.startsWith('{"t":"committed"') ? null : data);
    const asking = await ask(network);
    await until(() => asking.updates.some(({ type }) => type === 'answered'), 'all is written');
    await network.addTab();
    await first.tab.close();
    await asking.end;
    expect(asking.text()).toBe((await undisturbed()).text);
    expect(asking.updates.filter(({ type }) => type === 'answered' || type === 'committed').length).toBe(2);
  });

  it('[N1] [T2] hears nothing more of the dead tab when it comes back', async () => {
    const network = await TestNetwork.create();
    const first = await network.addTab({ engine: paced() });
    const asking = await ask(network);
    await written(asking, 4);
    const second = await network.addTab({ engine: paced() });
    first.wire.break(1006);
    await network.advance(6_000); // Longer than it has to come back.
    first.wire.reconnect();
    await asking.end;
    expect(asking.text()).toBe((await undisturbed()).text);
    expect(await viewOf(network, asking)).toMatchObject({ tab: second.identity, outcome: 'answered' });
  });

  it('[N1] goes on when it falls silent', async () => {
    const network = await TestNetwork.create();
    const silent = await network.addTab({ engine: paced() });
    const asking = await ask(network);
    await written(asking, 4);
    silent.wire.tamper = () => null;
    await network.addTab();
    await network.advance(31_000);
    await asking.end;
    expect(asking.text()).toBe((await undisturbed()).text);
  });
});
