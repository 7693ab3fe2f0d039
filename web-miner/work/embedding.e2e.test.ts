import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Embedders, MINI_LM_FILE, serveEmbedders } from '../../scripts/testing/embedders.ts';
import { type RunningNetwork, startNetwork } from '../../scripts/testing/running-network.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';

let embedders: Embedders;
let network: RunningNetwork;
let openai: OpenAI;

beforeAll(async () => {
  embedders = await serveEmbedders();
  network = await startNetwork();
  openai = new OpenAI({ baseURL: `${network.router.url}/v1`, apiKey: 'any', maxRetries: 0 });
});
afterAll(async () => {
  await network?.stop();
  await embedders?.remove();
});

const cosine = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, at) => sum + x * (b[at] ?? 0), 0);

/** Of all-MiniLM-L6-v2 q8_0: what this engine computed on the day when it was first served. */
const A_CUP_OF_TEA = [-0.07484085112810135, 0.054195743054151535, 0.009025555104017258];

interface Notes {
  readonly shoal: { readonly sure: string; readonly receipts: readonly string[] };
}

async function embed(model: string, input: string[]): Promise<{ vectors: number[][]; notes: Notes['shoal'] }> {
  const asked = { model, input, shoal: { level: 'strict' } } as OpenAI.EmbeddingCreateParams;
  const { data, ...rest } = await openai.embeddings.create(asked);
  return { vectors: data.map(({ embedding }) => embedding), notes: (rest as unknown as Notes).shoal };
}

async function expectVerified({ sure, receipts }: Notes['shoal']): Promise<void> {
  expect(sure).toBe('verified');
  for (const id of receipts) {
    const receipt = (await (await fetch(`${network.router.url}/v1/receipts/${id}`)).json()) as Signed;
    const { problems } = await verifyReceipt(receipt, { routerKey: network.routerKey });
    expect(problems).toEqual([]);
  }
}

describe('embeddings by real tabs', () => {
  it('[X1] are the same to the byte in two tabs, at level strict, and their tabs are embed-only for everybody to see', async () => {
    const tabs = await network.lend(2, { model: embedders.pup });
    const { vectors, notes } = await embed(embedders.pup, ['the sea', 'the moon', 'the sea']);
    expect(vectors.map(({ length }) => length)).toEqual([192, 192, 192]);
    expect(vectors[2]).toEqual(vectors[0]);
    expect(vectors[1]).not.toEqual(vectors[0]);
    await expectVerified(notes);
    const [tab] = tabs;
    await tab!.locator('#role').getByText('Embed only').waitFor();
    const id = (await tab!.locator('details code').textContent()) ?? '';
    expect(await (await fetch(`${network.router.url}/v1/tabs/${id}`)).json()).toMatchObject({ role: 'embed_only' });
    await expect(
      openai.chat.completions.create({ model: embedders.pup, messages: [{ role: 'user', content: 'Hello!' }] }),
    ).rejects.toMatchObject({ status: 400, code: 'invalid_value', param: 'model' });
    for (const page of tabs) await page.context().close();
  });

  it('find what a text is about, with a real model, whatever the batch and the order', async ({ skip }) => {
    const { miniLm } = embedders;
    if (miniLm === null) return skip(`LEFT OUT: ${MINI_LM_FILE} is not at hand.`);
    const tabs = await network.lend(2, { model: miniLm });
    const texts = [
      'How do I make a cup of tea?',
      'What is the best way to brew tea?',
      'The stock market fell sharply today.',
      'Shares lost much of their value this afternoon.',
      'My cat sleeps all day.',
      'A kitten naps from morning to evening.',
    ];
    const { vectors, notes } = await embed(miniLm, texts);
    await expectVerified(notes);
    const nearest = vectors.map((own, at) => {
      const others = vectors.map((other, place) => (place === at ? -1 : cosine(own, other)));
      return others.indexOf(Math.max(...others));
    });
    expect(nearest).toEqual([1, 0, 3, 2, 5, 4]);
    const tea = await embed(miniLm, ['a cup of tea']);
    expect(tea.vectors[0]?.slice(0, 3)).toEqual(A_CUP_OF_TEA); // As in every browser that was started before.
    const reversed = await embed(miniLm, texts.toReversed());
    expect(reversed.vectors.toReversed()).toEqual(vectors);
    const alone = await embed(miniLm, texts.slice(2, 3));
    expect(alone.vectors[0]).toEqual(vectors[2]);
    await expect(embed(miniLm, ['tea', 'word '.repeat(600)])).rejects.toMatchObject({
      code: 'context_length_exceeded',
      param: 'input[1]',
    });
    for (const page of tabs) await page.context().close();
  });
});
