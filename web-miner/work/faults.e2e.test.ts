import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningNetwork, startNetwork } from '../../scripts/testing/running-network.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';

let network: RunningNetwork;
let openai: OpenAI;

beforeAll(async () => {
  network = await startNetwork();
  openai = new OpenAI({ baseURL: `${network.router.url}/v1`, apiKey: 'any', maxRetries: 0 });
});
afterAll(() => network?.stop());

const STORY = {
  model: 'shoal-pup-3m:q8_0',
  messages: [{ role: 'user' as const, content: 'Tell me a long story about a robot and friendship.' }],
};

async function receiptOf(id: string): Promise<Record<string, unknown>> {
  for (let i = 0; i < 300; i++) {
    const response = await fetch(`${network.router.url}/v1/receipts/${id}`);
    if (response.ok) {
      const { valid, problems, receipt } = await verifyReceipt(await response.json(), { routerKey: network.routerKey });
      expect({ valid, problems }).toEqual({ valid: true, problems: [] });
      return receipt as unknown as Record<string, unknown>;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('there is no receipt');
}

async function servingTabs(): Promise<number> {
  const { data } = (await (await fetch(`${network.router.url}/v1/models`)).json()) as {
    data: { shoal: { tabs: number } }[];
  };
  return data[0]?.shoal.tabs ?? 0;
}

describe('a network in trouble', () => {
  it('[T5] with no tab says so: 503, when to come back, and where a tab can be lent', async () => {
    const error = await openai.chat.completions.create(STORY).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ status: 503, code: 'no_tab', message: expect.stringContaining('/join') });
    expect((error as InstanceType<typeof OpenAI.APIError>).headers?.get('retry-after')).toBe('15');
  });

  it('[K7] with one tab answers, and calls the answer unchecked', async () => {
    const [only] = await network.lend(1);
    const answer = await openai.chat.completions.create({ ...STORY, max_tokens: 20 });
    expect(await receiptOf(answer.id)).toMatchObject({
      outcome: { value: 'answered' },
      verdict: { value: 'unchecked', reason: 'nobody_fit' },
    });
    await only!.context().close();
    await expect.poll(servingTabs, { timeout: 10_000 }).toBe(0);
  });

  it('[T4] whose tab is closed in mid-stream ends with an error event and an honest receipt', async () => {
    const [tab] = await network.lend(1);
    let id = '';
    let text = '';
    const error = await (async () => {
      const stream = await openai.chat.completions.create({ ...STORY, temperature: 1, stream: true });
      for await (const chunk of stream) {
        id = chunk.id;
        text += chunk.choices[0]?.delta.content ?? '';
        if (text !== '') await tab!.context().close();
      }
      return null;
    })().catch((cause: unknown) => cause);
    expect(text).not.toBe('');
    expect(error).toMatchObject({ code: 'tab_lost' });
    expect(await receiptOf(id)).toMatchObject({
      outcome: { value: 'failed', code: 'tab_lost' },
      commit: null,
      verdict: { value: 'unchecked' },
    });
  });

  it('the stop button stops: the tab leaves at once and says so', async () => {
    const [tab] = await network.lend(1);
    await tab!.locator('#stop').click();
    await tab!.getByText('Stopped', { exact: true }).waitFor();
    await expect.poll(servingTabs, { timeout: 10_000 }).toBe(0);
    await tab!.locator('#start').click();
    await tab!.locator('#answers').waitFor();
    await expect.poll(servingTabs, { timeout: 10_000 }).toBe(1);
    await tab!.context().close();
    await expect.poll(servingTabs, { timeout: 10_000 }).toBe(0);
  });

  it('that meets an answer which the engine cannot put into text loses that answer, and no tab', async () => {
    const [tab] = await network.lend(1);
    // The model samples bytes here that are no UTF-8.
    const passage = 'The boats came home in the evening and the gulls followed them. '.repeat(9);
    const stumbling = {
      model: STORY.model,
      messages: [{ role: 'user' as const, content: `${passage}Schreib 🐟🐠🐡 und erkläre sie.` }],
      temperature: 0.8,
      seed: 20_416,
      max_tokens: 24,
    };
    for (let i = 0; i < 3; i++) {
      const error = await openai.chat.completions.create(stumbling, { maxRetries: 0 }).catch((cause: unknown) => cause);
      expect(error).toMatchObject({ status: 502, code: 'engine_failed' });
    }
    const next = await openai.chat.completions.create({ ...STORY, max_tokens: 10 });
    expect(next.choices[0]?.message.content).not.toBe('');
    expect(await servingTabs()).toBe(1);
    await tab!.context().close();
    await expect.poll(servingTabs, { timeout: 10_000 }).toBe(0);
  });

  it('[K5] with a tab that alters one token finds it invalid, and names the block', async () => {
    const TOKEN = 25;
    const hostile = await network.examPage();
    await hostile.evaluate((token) => window.exam.lendWithOneTokenAltered(token), TOKEN);
    const lie = await openai.chat.completions.create({ ...STORY, max_tokens: 60 });
    const [honest] = await network.lend(1);
    const [checker] = await network.lend(1, { checkOnly: true });
    // Two at once: one tab is busy with the first, so each of them gets one.
    const given = await Promise.all([1, 2].map(() => openai.chat.completions.create({ ...STORY, max_tokens: 60 })));
    const text = (answer: OpenAI.ChatCompletion) => answer.choices[0]?.message.content ?? '';
    const lied = given.find((answer) => text(answer) === text(lie))!;
    const truth = text(given.find((answer) => text(answer) !== text(lie))!);
    const differsAt = [...Buffer.from(text(lied))].findIndex((byte, i) => byte !== Buffer.from(truth)[i]);
    expect(differsAt).toBeGreaterThan(0);
    expect(await receiptOf(lied.id)).toMatchObject({
      outcome: { value: 'answered' },
      verdict: { value: 'invalid', method: 'exact-re-execution', falseBlock: Math.floor(differsAt / 64) },
    });
    await hostile.context().close();
    await honest!.context().close();
    await checker!.context().close();
  });
});
