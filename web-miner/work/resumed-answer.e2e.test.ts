import OpenAI from 'openai';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SealedClient } from '../../client/sealed-client.ts';
import { type RunningNetwork, startNetwork } from '../../scripts/testing/running-network.ts';
import { taskId } from '../../shared/protocol/task-ids.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';

let network: RunningNetwork;
let openai: OpenAI;
/** Pages by the names of their tabs. */
let pages: Map<string, Page>;

beforeAll(async () => {
  network = await startNetwork();
  openai = new OpenAI({ baseURL: `${network.router.url}/v1`, apiKey: 'any', maxRetries: 0 });
});
afterAll(() => network?.stop());

const STORY = 'Tell me a long story about a robot and friendship.';
const MODEL = 'shoal-pup-3m:q8_0';
const asked = (temperature: number) => ({
  model: MODEL,
  messages: [{ role: 'user' as const, content: STORY }],
  temperature,
  seed: 11,
  max_tokens: 300,
  ...({ shoal: { level: 'none' } } as object),
});

async function taskOf(id: string): Promise<Record<string, unknown>> {
  return (await (await fetch(`${network.router.url}/v1/tasks/${id}`)).json()) as Record<string, unknown>;
}

async function receiptOf(id: string) {
  for (let i = 0; i < 300; i++) {
    const response = await fetch(`${network.router.url}/v1/receipts/${id}`);
    if (response.ok) return verifyReceipt(await response.json(), { routerKey: network.routerKey });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('there is no receipt');
}

const PATIENCE = { timeout: 30_000 };

async function servingTabs(): Promise<number> {
  const { data } = (await (await fetch(`${network.router.url}/v1/models`)).json()) as {
    readonly data: readonly { readonly id: string; readonly shoal: { readonly tabs: number } }[];
  };
  return data.find(({ id }) => MODEL.startsWith(`${id}:`))?.shoal.tabs ?? 0;
}

/** Two tabs. While the first is alone it is asked, so that its name is known; the other one's is the name that is not. */
beforeEach(async () => {
  // All of them: a tab that a test left behind would be taken for the first.
  for (const context of network.browser.browser.contexts()) await context.close();
  await expect.poll(servingTabs, PATIENCE).toBe(0);
  const [first] = await network.lend(1);
  await expect.poll(servingTabs, PATIENCE).toBe(1); // The page serves a moment before the router knows.
  const { id } = await openai.chat.completions.create({ ...asked(0), max_tokens: 4 });
  const name = String((await taskOf(id)).tab);
  const [second] = await network.lend(1);
  await expect.poll(servingTabs, PATIENCE).toBe(2);
  pages = new Map([
    [name, first!],
    ['', second!],
  ]);
}, 120_000);

/** Closes the page that serves this task. Returns the name of its tab. */
async function killServing(id: string): Promise<string> {
  const tab = String((await taskOf(id)).tab);
  const key = pages.has(tab) ? tab : '';
  await pages.get(key)?.context().close();
  pages.delete(key);
  return tab;
}

describe('an answer whose tab is closed in the middle of it', () => {
  it.each([0, 0.8])(
    '[N1] [N3] is the same to the byte as without, for an OpenAI client, at temperature %s',
    async (t) => {
      const whole = await openai.chat.completions.create(asked(t));
      const stream = await openai.chat.completions.create({
        ...asked(t),
        stream: true,
        stream_options: { include_usage: true },
      });
      let text = '';
      let killed: string | null = null;
      let writtenBefore = 0;
      const ids = new Set<string>();
      let usage: OpenAI.CompletionUsage | null | undefined;
      for await (const chunk of stream) {
        ids.add(chunk.id);
        usage ??= chunk.usage;
        text += chunk.choices[0]?.delta.content ?? '';
        if (killed !== null || text.length < 20) continue;
        killed = await killServing(chunk.id);
        writtenBefore = text.length;
      }
      const [id] = ids;
      expect({ text, ids: ids.size, usage }).toEqual({
        text: whole.choices[0]?.message.content,
        ids: 1,
        usage: whole.usage,
      });
      expect(text.length).toBeGreaterThan(writtenBefore);
      const { valid, problems, receipt } = await receiptOf(id ?? '');
      expect({ valid, problems, outcome: receipt?.outcome }).toEqual({
        valid: true,
        problems: [],
        outcome: { value: 'answered' },
      });
      const view = await taskOf(id ?? '');
      expect(view.earlier_tabs).toEqual([killed]);
      expect(view.tab).not.toBe(killed);
    },
  );

  it.each([0, 0.8])('[N1] is the same for a client that seals, at temperature %s', async (temperature) => {
    const client = new SealedClient({ baseUrl: network.router.url, routerKey: network.routerKey });
    const question = {
      model: MODEL,
      messages: [{ role: 'user' as const, content: STORY }],
      sampling: { temperature, seed: 11, maxTokens: 300 },
      level: 'none' as const,
    };
    const read = async (onText: (task: string) => Promise<void>) => {
      const answer = await client.ask(question);
      let text = '';
      let task = '';
      for await (const update of answer.updates()) {
        if (update.type === 'leased') task = taskId(update.lease.task);
        if (update.type !== 'text') continue;
        text += update.text;
        if (text.length >= 20) await onText(task);
      }
      return { text, task };
    };
    const whole = await read(async () => undefined);
    let killed: string | null = null;
    const disturbed = await read(async (task) => {
      killed ??= await killServing(task);
    });
    expect(disturbed.text).toBe(whole.text);
    expect((await taskOf(disturbed.task)).earlier_tabs).toEqual([killed]);
    client.close();
  });
});
