import { env, SELF } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import type { Receipt } from '../../shared/receipt/receipt.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import type { Engine } from '../../web-miner/engine/engine.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { AlteringEngine } from '../testing/altering-engine.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';

const ORIGIN = 'https://shoal.test';

/** A tab of the embedded model's own class. */
async function aTab(
  decodeMsPerToken: number,
  engine: Engine = new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken }),
): Promise<WorkerdTab> {
  const q8 = (await servedCatalogue(env)).find(({ variant }) => variant.id === 'q8_0');
  const table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
  return lendWorkerdTab(q8?.class ?? '', table, engine);
}

interface Priced {
  readonly tab: string;
  readonly earlier_tabs: readonly string[];
  readonly price: {
    readonly status: string;
    readonly charged: number;
    readonly per_token: number;
    readonly paid: unknown;
  };
}

interface Chunk {
  readonly id: string;
  readonly choices: readonly { readonly delta: { readonly content?: string } }[];
  readonly usage?: { readonly total_tokens: number } | null;
}

describe('an answer that a second tab brought to its end', () => {
  it('[N1] [N3] [M5] is charged once, for the tokens of one answer, and paid to the second tab alone', async () => {
    const first = await aTab(20);
    const response = await SELF.fetch(`${ORIGIN}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer resumed', 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'shoal-pup-3m',
        messages: [{ role: 'user', content: 'hello' }],
        max_tokens: 40,
        seed: 3,
        stream: true,
        stream_options: { include_usage: true },
        shoal: { level: 'none' },
      }),
    });
    let second: WorkerdTab | null = null;
    let text = '';
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) {
      text += decoder.decode(bytes as Uint8Array, { stream: true });
      if (second !== null || !/"content":" \S/.test(text)) continue;
      second = await aTab(0);
      await first.tab.close();
    }
    const chunks = [...text.matchAll(/^data: (\{.*)$/gm)].map(([, json]) => JSON.parse(json ?? '') as Chunk);
    expect(text).toContain('data: [DONE]');
    const id = chunks[0]?.id;
    const view = async () => (await SELF.fetch(`${ORIGIN}/v1/tasks/${id}`)).json<Priced>();
    await expect.poll(async () => (await view()).price.status, { timeout: 10_000 }).toBe('settled');
    const { tab, earlier_tabs, price } = await view();
    expect({ tab, earlier_tabs }).toEqual({ tab: second?.identity, earlier_tabs: [first.identity] });
    const tokens = chunks.find(({ usage }) => usage != null)?.usage?.total_tokens ?? 0;
    expect(price.charged).toBe(tokens * price.per_token);
    expect(price.paid).toEqual([expect.objectContaining({ role: 'answer', tab: second?.identity })]);
    expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1);
    await second?.tab.close();
  });

  it('[N2] [M5] costs nothing where the two disagree, though the second had committed to it before that was found, and its receipt says the same', async () => {
    const first = await aTab(20);
    const response = await SELF.fetch(`${ORIGIN}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer disputed', 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'shoal-pup-3m',
        messages: [{ role: 'user', content: 'hello' }],
        max_tokens: 40,
        seed: 3,
        stream: true,
        shoal: { level: 'none' },
      }),
    });
    let second: WorkerdTab | null = null;
    let text = '';
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) {
      text += decoder.decode(bytes as Uint8Array, { stream: true });
      if (second !== null || !/"content":" \S/.test(text)) continue;
      const honest = new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 0 });
      const other = new AlteringEngine(honest, (event) =>
        event.type === 'delta' ? { ...event, text: event.text.toUpperCase() } : event,
      );
      second = await aTab(0, other);
      await first.tab.close();
    }
    expect(text).toContain('"code":"answer_disputed"');
    const id = (JSON.parse(/^data: (\{.*)$/m.exec(text)?.[1] ?? '') as Chunk).id;
    const view = async () => (await SELF.fetch(`${ORIGIN}/v1/tasks/${id}`)).json<Priced>();
    await expect.poll(async () => (await view()).price.status, { timeout: 10_000 }).toBe('settled');
    expect((await view()).price).toMatchObject({ charged: 0, paid: [] });
    const receipt = await (await SELF.fetch(`${ORIGIN}/v1/receipts/${id}`)).json<Signed>();
    expect((JSON.parse(receipt.payload) as Receipt).price?.charged).toBe(0);
    await second?.tab.close();
  });
});
