import { describe, expect, it } from 'vitest';
import { ShoalError } from '../../shared/errors.ts';
import { collectCompletion } from '../../shared/sealed-task/completion.ts';
import type { TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';
import type { GenerateEvent, GenerateRequest } from '../../web-miner/engine/engine.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import type { PartWord } from '../billing/grant.ts';
import { settle, TEST_SAMPLING, TestNetwork, type TestTab, until } from '../testing/network.ts';
import { type PoolCalls, partsOfNetwork, type TestPrompt } from '../testing/network-parts.ts';
import { PartsRun, type RunningPart } from './parts-run.ts';

const SLOW = { prefillMsPerToken: 0, decodeMsPerToken: 5 };

/** An engine that keeps the prompts it was given. */
class WatchedEngine extends ScriptedEngine {
  readonly prompts: string[] = [];

  override generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    this.prompts.push(request.prompt);
    return super.generate(request, signal);
  }
}

async function textOf(part: RunningPart<TestPrompt>): Promise<string> {
  return (await collectCompletion(part, part.updates(), false)).choices[0]!.message.content;
}

function prompts(count: number, maxTokens = 8): TestPrompt[] {
  const sampling = { ...TEST_SAMPLING, maxTokens };
  return Array.from({ length: count }, (_, at) => ({ text: `part ${at}`, sampling }));
}

/** What the parts should say: each asked by itself. */
async function alone(asked: readonly TestPrompt[]): Promise<string[]> {
  const network = await TestNetwork.create();
  await network.addTab();
  const texts: string[] = [];
  for (const { text, sampling } of asked) {
    texts.push((await network.ask(text, { level: 'none', ...(sampling && { sampling }) })).text);
  }
  return texts;
}

/** Whoever reads the answer finds at its end that it is not what was asked for. */
async function* refused(
  updates: AsyncGenerator<TaskUpdate, void, undefined>,
  code: 'integrity_failed' | 'answer_disputed',
): AsyncGenerator<TaskUpdate, void> {
  for await (const update of updates) {
    if (update.type === 'committed') throw new ShoalError(code, 'It cannot be given.');
    yield update;
  }
}

describe('the parts of a request in the network', () => {
  it('[P1] [P2] run side by side on all tabs, one pool call for the first of them, and come back in order', async () => {
    const network = await TestNetwork.create();
    const engines = [new WatchedEngine(SLOW), new WatchedEngine(), new WatchedEngine(SLOW)];
    for (const engine of engines) await network.addTab({ engine });
    const calls: PoolCalls = [];
    const asked = prompts(20);
    const run = new PartsRun(partsOfNetwork(network, calls));
    const texts = await Promise.all(run.add(asked).map(textOf));
    expect(texts).toEqual(await alone(asked));
    expect(calls[0]).toEqual({ asked: 20, taken: 11 }); // Three tabs, and eight that wait.
    expect(run.counts).toMatchObject({ of: 20, delivered: 20 });
    await run.finished();
    for (const engine of engines) expect(engine.prompts.length).toBeGreaterThan(0);
    // Nothing twice, and no prompt holds more than its own part.
    const seen = engines.flatMap((engine) => engine.prompts).sort();
    expect(seen).toEqual(asked.map(({ text }) => `user: ${text}`).sort());
  });

  it('[P2] [P3] a tab that dies in mid-part is replaced for that part alone', async () => {
    const network = await TestNetwork.create();
    const dying = await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 40 }) });
    const engine = new WatchedEngine();
    await network.addTab({ engine });
    const asked = prompts(6);
    const run = new PartsRun(partsOfNetwork(network));
    const parts = run.add(asked);
    const texts = Promise.all(parts.map(textOf));
    await until(() => dying.snapshot()?.working === 'answer', 'it works');
    dying.wire.break(1001);
    expect(await texts).toEqual(await alone(asked));
    expect(new Set(engine.prompts).size).toBe(6);
    expect(engine.prompts).toHaveLength(6);
  });

  it('an engine that fails is avoided', async () => {
    const network = await TestNetwork.create();
    const broken = new WatchedEngine();
    await network.addTab({ engine: broken });
    await broken.dispose();
    await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const asked = prompts(4);
    const run = new PartsRun(partsOfNetwork(network));
    expect(await Promise.all(run.add(asked).map(textOf))).toEqual(await alone(asked));
  });

  it('a part that no tab can answer fails alone, with the reason', async () => {
    const network = await TestNetwork.create();
    await network.addTab();
    const long: TestPrompt = { text: 'x'.repeat(5_000) };
    const run = new PartsRun(partsOfNetwork(network));
    const [first, second, third] = run.add([...prompts(1), long, ...prompts(1)]);
    await expect(textOf(second!)).rejects.toMatchObject({ code: 'context_length_exceeded' });
    expect(await textOf(first!)).toBe(await textOf(third!));
  });

  it('[P2] [P3] come back in order, each once, from tabs that die, fail, drop out, are slow and come late', async () => {
    const network = await TestNetwork.create();
    const pace = (decodeMsPerToken: number) => new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken });
    const dying = await network.addTab({ engine: pace(30) });
    const dropping = await network.addTab({ engine: pace(10) });
    await network.addTab({ engine: pace(300) });
    const broken = new WatchedEngine();
    await network.addTab({ engine: broken });
    await broken.dispose();
    const asked = prompts(30);
    const run = new PartsRun(partsOfNetwork(network));
    const ended: number[] = [];
    const texts = Promise.all(
      run.add(asked, { isLive: true }).map(async (part) => {
        const text = await textOf(part);
        ended.push(part.id);
        return text;
      }),
    );
    await until(() => dying.snapshot()?.working === 'answer', 'the first works');
    dying.wire.break(1001);
    dropping.wire.break();
    setTimeout(() => dropping.wire.reconnect(), 50);
    await network.addTab({ engine: pace(5) });
    expect(await texts).toEqual(await alone(asked));
    expect(ended.toSorted((a, b) => a - b)).toEqual(asked.map((_, at) => at));
    expect(run.counts).toEqual({ of: 30, held: 0, waiting: 0, running: 0, delivered: 30, givenUp: 0 });
  });

  it('are refused at once when nobody serves the model', async () => {
    const network = await TestNetwork.create();
    const run = new PartsRun(partsOfNetwork(network));
    const ends = await Promise.allSettled(run.add(prompts(3)).map(textOf));
    expect(ends).toEqual(
      [0, 1, 2].map(() => ({ status: 'rejected', reason: expect.objectContaining({ code: 'no_tab' }) })),
    );
    await run.finished();
  });

  it('a straggler is hedged: its part comes from another tab, and the slow one is stopped', async () => {
    const network = await TestNetwork.create();
    const slow = await network.addTab({
      engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 2_000 }),
    });
    await network.addTab({ engine: new ScriptedEngine() });
    const asked = prompts(6);
    const run = new PartsRun(partsOfNetwork(network));
    expect(await Promise.all(run.add(asked).map(textOf))).toEqual(await alone(asked));
    expect(run.hedges).toBe(1);
    await until(() => slow.snapshot()?.counts.stopped === 1, 'the slow tab stops');
    expect(slow.snapshot()?.counts.answers).toBe(0);
  });

  it('[M5] what the slower of two wrote, or another tab would rather have written, is told to be thrown away', async () => {
    const network = await TestNetwork.create();
    const slow = await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 400 }) });
    for (let i = 0; i < 2; i++) await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const words: { task: string; word: PartWord }[] = [];
    const run = new PartsRun(partsOfNetwork(network, [], words));
    await Promise.all(run.add(prompts(6)).map(textOf));
    expect(run.hedges).toBe(1);
    await until(() => slow.snapshot()?.working === null, 'the slow tab is stopped');
    expect(words.map(({ word }) => word)).toEqual(['discarded']);
    run.given();
    run.stop('discarded'); // The first word counts.
    expect(words.map(({ word }) => word)).toEqual(['discarded', ...Array<string>(6).fill('given')]);
  });

  it('[M5] of an answer that failed as a whole everything is thrown away, and of one that was stopped nothing', async () => {
    const wordsAfter = async (word: 'given' | 'discarded') => {
      const network = await TestNetwork.create();
      await network.addTab();
      const words: { task: string; word: PartWord }[] = [];
      const run = new PartsRun(partsOfNetwork(network, [], words));
      const [first, second] = run.add([
        ...prompts(1),
        { text: 'long', sampling: { ...TEST_SAMPLING, maxTokens: 400 } },
      ]);
      await textOf(first!);
      run.stop(word);
      await Promise.allSettled([textOf(second!)]);
      return words.map((told) => told.word);
    };
    expect(await wordsAfter('discarded')).toEqual(['discarded', 'discarded']);
    expect(await wordsAfter('given')).toEqual(['given', 'given']);
  });

  it.each(['integrity_failed', 'answer_disputed'] as const)(
    '[M5] an answer that was committed to, and is none that can be given, is told to be thrown away: %s',
    async (code) => {
      const network = await TestNetwork.create();
      for (let i = 0; i < 2; i++) await network.addTab();
      const words: { task: string; word: PartWord }[] = [];
      const port = partsOfNetwork(network, [], words);
      let opened = 0;
      const run = new PartsRun<TestPrompt>({
        ...port,
        async open(asked) {
          return (await port.open(asked)).map((one) =>
            opened++ > 0 ? one : { ...one, updates: refused(one.updates, code) },
          );
        },
      });
      const [part] = run.add(prompts(1));
      expect([await textOf(part!)]).toEqual(await alone(prompts(1)));
      run.given();
      expect(words.map(({ word }) => word)).toEqual(['discarded', 'given']);
    },
  );

  it('[M5] a part that is given by itself is told to be so at once, and what is stopped later stays given', async () => {
    const network = await TestNetwork.create();
    await network.addTab();
    const words: { task: string; word: PartWord }[] = [];
    const run = new PartsRun(partsOfNetwork(network, [], words), { isWhole: false });
    await Promise.all(run.add(prompts(2)).map(textOf));
    run.stop('discarded');
    expect(words.map(({ word }) => word)).toEqual(['given', 'given']);
  });

  it('[P4] a stop reaches every part', async () => {
    const network = await TestNetwork.create();
    const pace = { prefillMsPerToken: 0, decodeMsPerToken: 100 };
    const tabs: TestTab[] = [];
    for (let i = 0; i < 3; i++) tabs.push(await network.addTab({ engine: new ScriptedEngine(pace) }));
    const run = new PartsRun(partsOfNetwork(network));
    const ends = Promise.allSettled(run.add(prompts(12, 60)).map(textOf));
    await until(() => tabs.every((tab) => tab.snapshot()?.working === 'answer'), 'all work');
    run.stop();
    const expected = { status: 'rejected', reason: expect.objectContaining({ code: 'cancelled' }) };
    expect(await ends).toEqual(Array.from({ length: 12 }, () => expected));
    await until(() => tabs.every((tab) => tab.snapshot()?.working === null), 'all are free');
    expect(tabs.map((tab) => tab.snapshot()?.counts.stopped)).toEqual([1, 1, 1]);
    await settle();
    expect(network.pool.isBusy).toBe(false);
  });

  it('[P3] live text goes on where the tab that died left it, with nothing lost and nothing twice', async () => {
    const network = await TestNetwork.create();
    const dying = await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 20 }) });
    const asked = prompts(1, 40);
    const run = new PartsRun(partsOfNetwork(network));
    const [part] = run.add(asked, { isLive: true });
    const updates: TaskUpdate[] = [];
    let heir: string | null = null;
    for await (const update of part!.updates()) {
      updates.push(update);
      if (update.type !== 'text' || heir !== null || updates.length < 3) continue;
      heir = (await network.addTab()).identity;
      dying.wire.break(1001);
    }
    const text = updates.map((update) => (update.type === 'text' ? update.text : '')).join('');
    expect([text]).toEqual(await alone(asked));
    const tabs = updates.flatMap((update) => (update.type === 'leased' ? [update.lease.tab] : []));
    expect(tabs).toEqual([dying.identity, heir]);
    const tokens = updates.reduce((sum, update) => sum + (update.type === 'text' ? update.tokens : 0), 0);
    expect(updates.find((update) => update.type === 'answered')).toMatchObject({
      finish: 'stop',
      completionTokens: tokens + 1, // The one that ends an answer writes nothing.
    });
    expect(updates.at(-1)).toMatchObject({ type: 'ended', verdict: { reason: 'not_asked' } });
  });

  it('[P3] live text is not patched with what another tab would rather have written', async () => {
    const network = await TestNetwork.create();
    const dying = await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 20 }) });
    const run = new PartsRun(partsOfNetwork(network));
    const [part] = run.add(prompts(1, 40), { isLive: true });
    let shown = 0;
    const reading = (async () => {
      for await (const update of part!.updates()) {
        if (update.type !== 'text' || ++shown !== 3) continue;
        const renderer = { render: () => 'another prompt' };
        for (let i = 0; i < 3; i++) await network.addTab({ renderer });
        dying.wire.break(1001);
      }
    })();
    await expect(reading).rejects.toBeInstanceOf(ShoalError);
    await expect(reading).rejects.toMatchObject({ code: 'integrity_failed' });
    expect(shown).toBeGreaterThanOrEqual(3);
  });

  it('of one group run on different tabs', async () => {
    const network = await TestNetwork.create();
    for (let i = 0; i < 3; i++) await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const run = new PartsRun(partsOfNetwork(network));
    const parts = run.add(
      [0, 1, 2].map(() => ({ text: 'the same' })),
      { group: 'twins' },
    );
    const answers = await Promise.all(parts.map((part) => collectCompletion(part, part.updates(), false)));
    expect(new Set(answers.map(({ shoal }) => shoal.tab)).size).toBe(3);
    expect(new Set(answers.map(({ choices }) => choices[0]?.message.content)).size).toBe(1);
  });
});
