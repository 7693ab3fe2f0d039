import { describe, expect, it } from 'vitest';
import { NOT_SAMPLED } from '../../shared/protocol/lease.ts';
import { vectorOfLine } from '../../shared/protocol/vector-lines.ts';
import { receipt as receiptSchema } from '../../shared/receipt/receipt.ts';
import { answerCommit, checkReveal } from '../../shared/receipt/statements.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { parsePayload } from '../../shared/signing/signed-statement.ts';
import type { Embedded } from '../../web-miner/engine/engine.ts';
import { SCRIPTED_DIMENSIONS, ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { guardPass } from '../keys/router-keys.ts';
import { settle, TEST_CLASS, TestNetwork, type TestTab, until } from '../testing/network.ts';
import type { LeaseWant } from './pool-ports.ts';

const EMBEDS: Partial<LeaseWant> = { kind: 'embed', sampling: NOT_SAMPLED };
const TEXTS = ['a cup of tea', 'the blue sky', 'a cup of tea'];

/** Vectors that no honest engine computes: one number is the next float32. */
class LyingEngine extends ScriptedEngine {
  override async embed(text: string, signal: AbortSignal): Promise<Embedded> {
    const { vector, tokens } = await super.embed(text, signal);
    return { vector: vector.map((x, at) => (at === 3 ? x + 2 ** -24 : x)), tokens };
  }
}

const embedding = (network: TestNetwork, engine?: ScriptedEngine) =>
  network.addTab({ embeds: true, ...(engine !== undefined && { engine }) });

describe('a task that embeds', () => {
  it('[X1] is answered with vectors, run again to the byte by another tab, and has a receipt like any other', async () => {
    const network = await TestNetwork.create();
    await embedding(network);
    await embedding(network);
    const { text, updates, verdict } = await network.ask(TEXTS.join('\n'), { ...EMBEDS, level: 'strict' });
    const vectors = text.split('\n').map((line) => vectorOfLine(line, SCRIPTED_DIMENSIONS)!);
    expect(vectors).toHaveLength(3);
    expect(vectors[2]).toEqual(vectors[0]);
    expect(vectors[1]).not.toEqual(vectors[0]);
    for (const vector of vectors) expect(Math.hypot(...vector)).toBeCloseTo(1, 6);
    expect(updates.find(({ type }) => type === 'answered')).toEqual({
      type: 'answered',
      finish: 'stop',
      promptTokens: 9,
      completionTokens: 0,
    });
    expect(verdict?.verdict).toEqual({
      value: 'valid',
      method: 'exact-re-execution',
      blocks: Math.ceil(text.length / 64),
      falseBlock: null,
      agree: 1,
      differ: 0,
      cosine: null,
    });
    const verified = await verifyReceipt(verdict?.receipt, { routerKey: network.keys.signer.publicKey });
    expect(verified.problems).toEqual([]);
    // The table of words has nothing to say of numbers.
    const receipt = parsePayload('receipt', receiptSchema, verdict!.receipt!);
    expect(parsePayload('commit', answerCommit, receipt.commit!).embedding).toBe(null);
    expect(parsePayload('check-reveal', checkReveal, receipt.checks[0]!.reveal!)).toMatchObject({
      embedding: null,
      shown: { authentic: true, vector: null },
      tokens: { prompt: 9, completion: 0 },
    });
  });

  it('[X1] of which one number is false in its last bit is refuted, and the block is named', async () => {
    const network = await TestNetwork.create();
    for (let i = 0; i < 3; i++) await embedding(network);
    const liar = await embedding(network, new LyingEngine());
    const { verdict } = await network.ask(TEXTS.join('\n'), { ...EMBEDS, only: liar.identity });
    expect(verdict?.verdict).toMatchObject({ value: 'invalid', falseBlock: 0, agree: 0, differ: 2 });
  });

  it('[X2] goes to no tab whose model chats, and no chat goes to one that embeds', async () => {
    const network = await TestNetwork.create();
    const [chats, embeds] = ['cls_CCCCCCCCCCCCCCCCCCCCCC', 'cls_EEEEEEEEEEEEEEEEEEEEEE'];
    const chatting = await network.addTab({ class: chats });
    const embedder = await network.addTab({ model: 'embedder', class: embeds, embeds: true });
    const of = (id: string) => [{ model: id === embeds ? 'embedder' : 'test-model', variant: 'q8_0', class: id }];
    const chat = await network.ask('tell me', { variants: of(chats) });
    expect(chat.task.held?.lease.tab).toBe(chatting.identity);
    expect(chat.verdict?.verdict).toEqual({ value: 'unchecked', reason: 'nobody_fit' });
    const vectors = await network.ask('tea', { ...EMBEDS, variants: of(embeds) });
    expect(vectors.task.held?.lease.tab).toBe(embedder.identity);
    expect(vectors.verdict?.verdict).toEqual({ value: 'unchecked', reason: 'nobody_fit' });
  });

  it('[X2] that a router leases to a chatting tab all the same fails by name, and harms it no further', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    await expect(network.ask('tea', EMBEDS)).rejects.toMatchObject({ code: 'invalid_value' });
    expect((await network.ask('tell me', { level: 'none' })).text).not.toBe('');
    expect(tab.snapshot()?.engineFailure).toBe(null);
  });

  it('[X2] has nothing but its texts: what else its lease says is refused by the tab', async () => {
    const network = await TestNetwork.create();
    await embedding(network);
    const sampled = { ...NOT_SAMPLED, seed: 1 };
    await expect(network.ask('tea', { ...EMBEDS, sampling: sampled })).rejects.toMatchObject({
      code: 'sealed_body_invalid',
    });
  });

  it('[X4] is checked by its own class alone: another variant of the model says nothing of its numbers', async () => {
    const network = await TestNetwork.create();
    await embedding(network);
    await network.addTab({ class: 'cls_EEEEEEEEEEEEEEEEEEEEEE', variant: 'f16', embeds: true });
    const { verdict } = await network.ask('tea', EMBEDS);
    expect(verdict?.verdict).toEqual({ value: 'unchecked', reason: 'nobody_fit' });
  });

  it('names the text that is too long, and the tab goes on', async () => {
    const network = await TestNetwork.create();
    const tab = await embedding(network);
    await expect(network.ask(`tea\n${'long '.repeat(80)}\nsky`, EMBEDS)).rejects.toMatchObject({
      code: 'context_length_exceeded',
      param: 'input[1]',
      message: "This text has 100 tokens, which is too long for the model's context.",
    });
    expect(tab.snapshot()?.engineFailure).toBe(null);
    expect((await network.ask('tea', EMBEDS)).text).toHaveLength(88);
  });

  it('stops when its client does, and its tab takes the next', async () => {
    const network = await TestNetwork.create();
    const tab = await embedding(network, new ScriptedEngine({ prefillMsPerToken: 20, decodeMsPerToken: 0 }));
    const { task } = await network.open(Array(50).fill('a cup of tea').join('\n'), EMBEDS);
    void task.updates().next();
    await until(() => tab.snapshot()?.working === 'answer', 'the tab works');
    await task.stop();
    await until(() => tab.snapshot()?.working === null, 'the tab is free');
    expect(tab.snapshot()?.counts).toMatchObject({ stopped: 1, failed: 0 });
    expect((await network.ask('tea', EMBEDS)).text).not.toBe('');
  });
});

describe('the network’s own tasks for models that embed', () => {
  const letItWork = async (network: TestNetwork, tasks: number) => {
    for (let i = 0; i < tasks; i++) {
      await network.advance(2_000);
      await settle(2);
      const counted = (name: string) => network.events.filter(({ event }) => event === name).length;
      await until(() => counted('network_task_begun') === counted('network_task_over'), 'the own task ends', 10_000);
      await settle(2);
    }
  };
  const standingOf = (network: TestNetwork, tab: TestTab) =>
    network.pool.tabView(tab.identity).records.find((record) => record.class === TEST_CLASS)?.standing;

  it('qualify honest tabs, and quarantine one that a guard sees lie', async () => {
    const network = await TestNetwork.create({ ownTasks: true });
    network.ownKind = 'embed';
    await network.addTab({ embeds: true, checkOnly: true, guard: await guardPass(network.keys) });
    const honest = [await embedding(network), await embedding(network)];
    for (let i = 0; i < 150 && honest.some((tab) => standingOf(network, tab) !== 'trusted'); i++) {
      await letItWork(network, 1);
    }
    expect(honest.map((tab) => standingOf(network, tab))).toEqual(['trusted', 'trusted']);
    const liar = await embedding(network, new LyingEngine());
    for (let i = 0; i < 40 && standingOf(network, liar) !== 'quarantined'; i++) await letItWork(network, 1);
    expect(standingOf(network, liar)).toBe('quarantined');
  }, 60_000);
});
