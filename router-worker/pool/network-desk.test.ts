import { describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import type { Engine, GenerateRequest } from '../../web-miner/engine/engine.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { guardPass } from '../keys/router-keys.ts';
import { TRUST_POLICY } from '../record/policy.ts';
import { newRecord, observe } from '../record/record.ts';
import { AlteringEngine, oneTokenAltered } from '../testing/altering-engine.ts';
import { settle, TEST_CLASS, TEST_SAMPLING, TestNetwork, type TestTab, until } from '../testing/network.ts';
import { qualifiedRecord } from '../testing/qualified-record.ts';

const liar = (): Engine => new AlteringEngine(new ScriptedEngine(), oneTokenAltered(5));

/** Longer than a tab rests after a task of scripted engines, ms. */
const REST_MS = 2_000;

/** Lets the network give its own tasks, one after the other. */
async function letItWork(network: TestNetwork, tasks: number): Promise<void> {
  for (let i = 0; i < tasks; i++) {
    await network.advance(REST_MS);
    await settle(2);
    const counted = (name: string) => network.events.filter(({ event }) => event === name).length;
    await until(() => counted('network_task_begun') === counted('network_task_over'), 'the own task ends', 10_000);
    await settle(2);
  }
}

const standingOf = (network: TestNetwork, tab: TestTab) =>
  network.pool.tabView(tab.identity).records[0]?.standing ?? 'unknown';

/** What a scripted engine writes on a prompt, as the renderer of the tests gives it to the engine. */
async function written(question: { prompt: string; sampling: object }) {
  const engine = new ScriptedEngine();
  await engine.load(
    new Blob(['GGUF']),
    { contextTokens: 512, threads: 1, batchTokens: 64, embeddings: false },
    new AbortController().signal,
  );
  const request = {
    prompt: `user: ${question.prompt}`,
    sampling: { ...TEST_SAMPLING, ...question.sampling },
    stop: [],
  } as GenerateRequest;
  let text = '';
  let finish: 'stop' | 'length' = 'stop';
  for await (const event of engine.generate(request, new AbortController().signal)) {
    if (event.type === 'delta') text += event.text;
    if (event.type === 'end') finish = event.finish;
  }
  return { question, text, finish } as Parameters<TestNetwork['known']['learn']>[1];
}

describe('the network’s own tasks', () => {
  it('qualify honest tabs, which are then asked first', async () => {
    const network = await TestNetwork.create({ ownTasks: true });
    const tabs = [await network.addTab(), await network.addTab()];
    await letItWork(network, 2 * TRUST_POLICY.qualifyingPasses);
    expect(tabs.map((tab) => standingOf(network, tab))).toEqual(['trusted', 'trusted']);
    const late = await network.addTab();
    const answer = await network.ask('tell me', { level: 'none' });
    expect(tabs.map(({ identity }) => identity)).toContain(answer.task.held?.lease.tab);
    expect(late.identity).not.toBe(answer.task.held?.lease.tab);
  }, 60_000);

  it('qualify a tab of a near class, whose answers nobody can write again, by one with a record that reads them', async () => {
    // The first of everything: greedy questions, which scripted engines read as they write.
    const network = await TestNetwork.create({ ownTasks: () => 0 });
    network.ownModel = 'shoal-pup-3m';
    const near = 'cln_AAAAAAAAAAAAAAAAAAAAAA';
    const pass = await guardPass(network.keys);
    await network.addTab({ model: 'shoal-pup-3m', checkOnly: true, guard: pass });
    const honest = await network.addTab({ model: 'shoal-pup-3m', class: near });
    const lying = await network.addTab({ model: 'shoal-pup-3m', class: near, engine: liar() });
    for (let i = 0; i < 120 && standingOf(network, honest) !== 'trusted'; i++) await letItWork(network, 1);
    expect(network.pool.tabView(honest.identity).records).toMatchObject([{ class: near, standing: 'trusted' }]);
    // No statistic proves a lie: it is suspected, asked last, and always checked.
    expect(network.pool.tabView(lying.identity).records).toMatchObject([
      { class: near, standing: 'suspected', counts: { agreed: 0, refuted: 0 } },
    ]);
  }, 60_000);

  it('collect what trusted tabs read of each other, and of nobody else', async () => {
    const near = 'cln_AAAAAAAAAAAAAAAAAAAAAA';
    const collected = async (isTrusted: boolean) => {
      const network = await TestNetwork.create({ ownTasks: () => 0 });
      network.ownModel = 'shoal-pup-3m';
      const guard = await guardPass(network.keys);
      await network.addTab({ model: 'shoal-pup-3m', checkOnly: true, guard });
      const onIdentity = (identity: string) => {
        const record = { ...qualifiedRecord(identity, network.now()), class: near, networkTaskAt: null };
        if (isTrusted) network.records.save(record);
      };
      await network.addTab({ model: 'shoal-pup-3m', class: near, onIdentity });
      const readings = () => network.readings.rows('shoal-pup-3m');
      for (let i = 0; i < 4 && readings().length === 0; i++) await letItWork(network, 1);
      const asked = readings().length;
      const variants = [{ model: 'shoal-pup-3m', variant: 'q8_0', class: near }];
      const answer = await network.ask('What a user asks.', {
        variants,
        sampling: { ...TEST_SAMPLING, temperature: 0 },
      });
      expect([answer.verdict?.verdict.value, readings().length]).toEqual(['valid', asked]);
      return readings();
    };
    expect(await collected(false)).toEqual([]);
    const [row, ...others] = await collected(true);
    expect(others).toEqual([]);
    expect(row).toMatchObject({
      population: 'honest',
      prompt: 1,
      temperature: 0,
      checker: 'idle',
      meanGap: 0,
      same: 1,
    });
    expect(row?.cuts).toBeGreaterThan(1);
    expect(row?.first).toBeLessThanOrEqual(row?.cuts ?? 0);
  }, 60_000);

  it('find a tab that computes wrongly before a user is served by it, and give it nothing more', async () => {
    const network = await TestNetwork.create({ ownTasks: true });
    const broken = await network.addTab({ engine: liar() });
    for (let i = 0; i < 2; i++) await network.addTab();
    const question = { prompt: 'What is tea?', sampling: { temperature: 0, seed: 1, maxTokens: 40 } };
    for (let i = 0; i < 20; i++) network.known.learn(TEST_CLASS, await written(question));
    for (let i = 0; i < 60 && standingOf(network, broken) !== 'quarantined'; i++) await letItWork(network, 1);
    expect(network.pool.tabView(broken.identity).records).toMatchObject([
      { class: TEST_CLASS, standing: 'quarantined', why: 'refuted' },
    ]);
    for (let i = 0; i < 6; i++) {
      const answer = await network.ask('tell me', { prefer: broken.identity });
      expect(answer.task.held?.lease.tab).not.toBe(broken.identity);
      expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', differ: 0 });
    }
  }, 60_000);

  it('[K16] find a pair that agrees on a lie, by an answer that is known', async () => {
    const network = await TestNetwork.create({ ownTasks: true });
    const pair = [await network.addTab({ engine: liar() }), await network.addTab({ engine: liar() })];
    const unnoticed = await network.ask('tell me');
    expect(unnoticed.verdict?.verdict).toMatchObject({ value: 'valid' });
    const question = { prompt: 'What is tea?', sampling: { temperature: 0, seed: 1, maxTokens: 40 } };
    for (let i = 0; i < 20; i++) network.known.learn(TEST_CLASS, await written(question));
    for (let i = 0; i < 20 && pair.some((tab) => standingOf(network, tab) !== 'quarantined'); i++)
      await letItWork(network, 1);
    expect(pair.map((tab) => standingOf(network, tab))).toEqual(['quarantined', 'quarantined']);
    await expect(network.ask('tell me')).rejects.toMatchObject({ code: 'no_tab' });
  }, 60_000);

  it('do not accuse an honest tab by a known answer', async () => {
    const network = await TestNetwork.create({ ownTasks: true });
    const question = { prompt: 'What is tea?', sampling: { temperature: 0, seed: 1, maxTokens: 40 } };
    for (let i = 0; i < 20; i++) network.known.learn(TEST_CLASS, await written(question));
    const tabs = [await network.addTab(), await network.addTab()];
    await letItWork(network, 12);
    for (const tab of tabs)
      expect(network.pool.tabView(tab.identity).records[0]?.counts).toMatchObject({ refuted: 0, disputed: 0 });
  }, 60_000);

  it('[U2] do not refute an honest tab by an answer that two others have made up', async () => {
    const network = await TestNetwork.create({ ownTasks: true });
    const question = { prompt: 'What is tea?', sampling: { temperature: 0, seed: 1, maxTokens: 40 } };
    const madeUp = { ...(await written(question)), text: 'It is not tea.', isDoubtful: true } as const;
    for (let i = 0; i < 20; i++) network.known.learn(TEST_CLASS, madeUp);
    const tabs = [await network.addTab(), await network.addTab()];
    await letItWork(network, 4);
    for (const tab of tabs) expect(network.pool.tabView(tab.identity).records[0]?.counts).toMatchObject({ refuted: 0 });
    expect(tabs.map((tab) => standingOf(network, tab))).toContain('suspected');
  }, 60_000);

  it('[U3] let a tab that only checks out of quarantine, which has no other way', async () => {
    const network = await TestNetwork.create({ ownTasks: true });
    await network.addTab();
    const checking = await network.addTab({ checkOnly: true });
    await letItWork(network, 1);
    const at = network.now() - 2 * TRUST_POLICY.firstQuarantineMs;
    const refuted = { outcome: 'refuted', reason: 'third_execution', at, role: 'check', source: 'user' } as const;
    network.records.save(observe(newRecord(checking.identity, TEST_CLASS, at), refuted));
    network.loseMemory();
    expect(standingOf(network, checking)).toBe('quarantined');
    await letItWork(network, 3 * TRUST_POLICY.qualifyingPasses);
    expect(standingOf(network, checking)).toBe('trusted');
    expect(network.events.filter(({ event }) => event === 'network_task_failed')).toEqual([]);
  }, 60_000);

  it('end for a while where two tabs differ and nobody can decide', async () => {
    const network = await TestNetwork.create({ ownTasks: true });
    await network.addTab();
    await network.addTab({ engine: new AlteringEngine(new ScriptedEngine(), oneTokenAltered(0)) });
    await letItWork(network, 12);
    const begun = () => network.events.filter(({ event }) => event === 'network_task_begun').length;
    expect(begun()).toBe(2); // One each.
    expect(network.pool.isBusy).toBe(false);
    await network.advance(60_001);
    await letItWork(network, 12);
    expect(begun()).toBe(4);
    await network.advance(60_001);
    await letItWork(network, 12);
    expect(begun()).toBe(4);
  }, 60_000);

  it('give way to a user at once', async () => {
    const network = await TestNetwork.create({ ownTasks: true });
    for (let i = 0; i < 2; i++) {
      await network.addTab({
        engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 200 }),
        checkOnly: i > 0,
      });
    }
    await until(
      () => network.events.some(({ event }) => event === 'network_task_begun'),
      'a task of the network begins',
    );
    await settle();
    const { task } = await network.open('tell me', { level: 'none' });
    const leased = await task.updates().next();
    expect(['waiting', 'leased']).toContain((leased.value as { type: string }).type);
    await until(() => task.held !== null, 'the user has the tab', 3_000);
    await task.stop();
  });

  it('look to a tab like everybody’s: sealed by the router, and answered with a receipt', async () => {
    const network = await TestNetwork.create({ ownTasks: true });
    const tab = await network.addTab();
    await network.addTab({ checkOnly: true });
    await letItWork(network, 1);
    await until(() => network.events.some(({ event }) => event === 'task_ended'), 'the own task ends', 10_000);
    const ended = network.events.find(({ event }) => event === 'task_ended')?.fields.task as string;
    const receipt = (await network.session(ended)).receipt(ended);
    expect((await verifyReceipt(receipt, { routerKey: network.keys.signer.publicKey })).problems).toEqual([]);
    expect(tab.wire.log.map(String).join()).not.toContain('network');
  });
});

describe('the record of a tab', () => {
  it('is made by checks of users’ answers, and survives a pool that lost its memory', async () => {
    const network = await TestNetwork.create();
    const honest = await network.addTab();
    const lying = await network.addTab({ engine: liar() });
    await network.addTab();
    await network.ask('tell me', { prefer: lying.identity });
    await settle();
    network.loseMemory();
    expect(network.pool.tabView(lying.identity).records).toMatchObject([
      { standing: 'suspected', counts: { refuted: 0, disputed: 1 } },
    ]);
    expect(network.pool.tabView(honest.identity).records).toEqual([]); // Strangers prove nobody right either.
    for (let i = 0; i < 3; i++) {
      const answer = await network.ask('tell me', { prefer: lying.identity });
      expect(answer.task.held?.lease.tab).not.toBe(lying.identity);
    }
  });

  it('[U2] of trust is not undone by two tabs of whom nothing is known, who agree on a lie', async () => {
    const network = await TestNetwork.create();
    const trusted = await network.addTab();
    network.records.save(qualifiedRecord(trusted.identity, network.now()));
    for (let i = 0; i < 2; i++) await network.addTab({ engine: liar(), checkOnly: true });
    const answer = await network.ask('tell me');
    expect(answer.verdict?.verdict).toMatchObject({ value: 'invalid', differ: 2 });
    expect(network.pool.tabView(trusted.identity).records).toMatchObject([
      { standing: 'suspected', counts: { refuted: 0, disputed: 1 } },
    ]);
  });

  it('[U3] of trust is undone by one refutation in which a guard agrees', async () => {
    const network = await TestNetwork.create();
    const lying = await network.addTab({ engine: liar() });
    network.records.save(qualifiedRecord(lying.identity, network.now()));
    await network.addTab({ checkOnly: true, guard: await guardPass(network.keys) });
    await network.addTab({ checkOnly: true });
    const answer = await network.ask('tell me');
    expect(answer.verdict?.verdict).toMatchObject({ value: 'invalid', differ: 2 });
    expect(network.pool.tabView(lying.identity).records).toMatchObject([{ standing: 'quarantined', why: 'refuted' }]);
  });

  it('has the end of a check of which nobody is left to be told, and has it once', async () => {
    const network = await TestNetwork.create();
    const answering = await network.addTab();
    const checking = await network.addTab({ checkOnly: true });
    const gate = Promise.withResolvers<void>();
    checking.wire.tamper = (data) =>
      typeof data === 'string' && data.includes('"checkRevealed"') ? gate.promise.then(() => data) : data;
    const { task, want } = await network.open('tell me');
    const following = network.follow(task, want);
    following.catch(() => undefined);
    await until(() => network.events.some(({ event }) => event === 'check_committed'), 'the checker has committed');
    await settle();
    await task.stop();
    network.loseMemory();
    gate.resolve();
    const session = await network.session(want.task);
    await until(() => session.view(want.task).receipt !== null, 'the task ends');
    await settle();
    const end = session.standing(want.task);
    for (let i = 0; i < 3; i++) if (end !== null) await network.pool.decide(want.task, end);
    for (const { identity } of [answering, checking])
      expect(network.pool.tabView(identity).records).toMatchObject([{ counts: { agreed: 1 } }]);
    await network.advance(6 * 60_000);
    network.loseMemory();
    if (end !== null) await network.pool.decide(want.task, end);
    expect(network.pool.tabView(answering.identity).records).toMatchObject([{ counts: { agreed: 1 } }]);
  });

  it('[U2] of an honest newcomer is not spoilt by strangers who agree on a lie, however many', async () => {
    const network = await TestNetwork.create();
    const lying = await network.addTab({ engine: liar() });
    for (let i = 0; i < 3; i++) await network.addTab({ engine: liar(), checkOnly: true });
    const honest = await network.addTab({ checkOnly: true });
    for (let i = 0; i < 32; i++) await network.ask(`question ${i}`, { prefer: lying.identity });
    await settle();
    const { counts, standing } = network.pool.tabView(honest.identity).records[0]!;
    expect(counts.disputed).toBeGreaterThan(0);
    expect({ standing, refuted: counts.refuted }).toEqual({ standing: 'suspected', refuted: 0 });
  });

  it('[U2] of strangers gains nothing by outvoting another', async () => {
    const network = await TestNetwork.create();
    const lying = await network.addTab({ engine: liar() });
    const [honest, other] = [await network.addTab({ checkOnly: true }), await network.addTab({ checkOnly: true })];
    await network.ask('tell me', { prefer: lying.identity });
    await settle();
    const countsOf = (tab: TestTab) => network.pool.tabView(tab.identity).records[0]?.counts ?? null;
    expect(countsOf(lying)).toMatchObject({ agreed: 0, disputed: 1, refuted: 0 });
    expect([countsOf(honest), countsOf(other)]).toEqual([null, null]);
  });

  it('is overruled by the operator alone', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    network.pool.setStanding(tab.identity, TEST_CLASS, 'banned');
    await expect(network.ask('tell me')).rejects.toMatchObject({ code: 'no_tab' });
    network.pool.setStanding(tab.identity, TEST_CLASS, 'new');
    expect((await network.ask('tell me')).text).not.toBe('');
  });
});

describe('a tab that a user prefers', () => {
  it.each(['answer', 'check'] as const)(
    '[N5] is set free at once from a task of the network itself, and is not blamed (its role: %s)',
    async (role) => {
      const network = await TestNetwork.create({ ownTasks: true });
      const pace = { prefillMsPerToken: 0, decodeMsPerToken: 20 };
      const tabs: TestTab[] = [];
      for (let i = 0; i < 4; i++) tabs.push(await network.addTab({ engine: new ScriptedEngine(pace) }));
      const atWork = () => tabs.find((tab) => tab.snapshot()?.working === role);
      for (let i = 0; i < 20 && atWork() === undefined; i++) {
        await network.advance(REST_MS);
        await until(() => tabs.some((tab) => tab.snapshot()?.working != null), 'an own task is at work');
        if (role === 'check')
          await until(() => tabs.every((tab) => tab.snapshot()?.working !== 'answer'), 'it is written');
        await settle();
      }
      const preferred = atWork();
      if (preferred === undefined) throw new Error('no tab is at work');
      const answer = await network.ask('hello', { prefer: preferred.identity, level: 'none' });
      expect(answer.task.held?.lease.tab).toBe(preferred.identity);
      const over = () => network.events.some(({ event }) => event === 'network_task_over');
      await until(over, 'the own task is over');
      for (const { identity } of tabs) {
        const [record] = network.pool.tabView(identity).records;
        expect(record?.counts.missed ?? 0).toBe(0);
      }
    },
  );
});
