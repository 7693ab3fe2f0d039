import { afterEach, describe, expect, it, vi } from 'vitest';
import { PlainClient } from './plain-client.ts';

const ORIGIN = 'http://localhost:8787';
const SHOAL = { task: 'task_x', receipt: 'rcpt_x', tab: 'tab', salt: 'salt' };
const RECEIPT = { key: 'A'.repeat(43), payload: '{}', signature: 'B'.repeat(86) };

function eventsOf(...chunks: readonly unknown[]): string {
  return [
    ': waiting for a tab\n\n',
    ...chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`),
    'data: [DONE]\n\n',
  ].join('');
}

/** A router that answers with this text, cut into pieces of three bytes. */
function answerWith(
  text: string,
  status = 200,
): { readonly asked: { url: string; body: unknown; headers: Headers }[] } {
  const asked: { url: string; body: unknown; headers: Headers }[] = [];
  vi.stubGlobal('fetch', async (input: string | URL | Request, init?: RequestInit) => {
    const url = String(input instanceof Request ? input.url : input);
    if (url.includes('/v1/receipts/')) return Response.json(RECEIPT);
    asked.push({ url, body: JSON.parse(String(init?.body)), headers: new Headers(init?.headers) });
    const bytes = new TextEncoder().encode(text);
    let at = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at >= bytes.length) return controller.close();
        controller.enqueue(bytes.slice(at, at + 3));
        at += 3;
      },
    });
    return new Response(body, { status });
  });
  return { asked };
}

afterEach(() => vi.unstubAllGlobals());

const QUESTION = {
  model: 'pup',
  messages: [{ role: 'user' as const, content: 'x' }],
  sampling: { seed: 3 },
  level: 'cross' as const,
};

async function updatesOf(client: PlainClient): Promise<unknown[]> {
  const seen: unknown[] = [];
  for await (const update of (await client.ask(QUESTION, {})).updates()) seen.push(update);
  return seen;
}

describe('an answer by plain HTTP', () => {
  it('is told as a sealed one is: text, names, end, verdict and receipt', async () => {
    const verdict = {
      value: 'valid',
      method: 'exact-re-execution',
      blocks: 1,
      falseBlock: null,
      agree: 1,
      differ: 0,
      cosine: 1,
    };
    const { asked } = answerWith(
      eventsOf(
        { choices: [{ index: 0, delta: { content: 'Tea ' }, finish_reason: null }] },
        { choices: [{ index: 0, delta: { content: 'é' }, finish_reason: null }] },
        {
          choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
          shoal: { ...SHOAL, verdict: { value: 'pending' } },
        },
        { choices: [], usage: { prompt_tokens: 4, completion_tokens: 2 } },
        { choices: [], shoal: { ...SHOAL, verdict } },
      ),
    );
    expect(await updatesOf(new PlainClient(ORIGIN, 'sk-x'))).toEqual([
      { type: 'text', text: 'Tea ', tokens: 1, path: 'relay' },
      { type: 'text', text: 'é', tokens: 1, path: 'relay' },
      { type: 'named', task: 'task_x', tab: 'tab' },
      { type: 'answered', finish: 'stop', promptTokens: 4, completionTokens: 2 },
      { type: 'named', task: 'task_x', tab: 'tab' },
      { type: 'ended', verdict, receipt: RECEIPT },
    ]);
    expect(asked).toMatchObject([
      {
        url: `${ORIGIN}/v1/chat/completions`,
        body: { model: 'pup', seed: 3, stream: true, shoal: { await_verdict: true, level: 'cross' } },
      },
    ]);
    expect(asked[0]?.headers.get('authorization')).toBe('Bearer sk-x');
  });

  it('fails with the error that the stream ends with', async () => {
    answerWith(`data: ${JSON.stringify({ error: { code: 'tab_lost', message: 'The tab went away.' } })}\n\n`);
    await expect(updatesOf(new PlainClient(ORIGIN, null))).rejects.toMatchObject({ code: 'tab_lost' });
  });

  it('fails when it breaks off without an end', async () => {
    answerWith(
      eventsOf({ choices: [{ index: 0, delta: { content: 'Tea' }, finish_reason: null }] }).replace(
        'data: [DONE]\n\n',
        '',
      ),
    );
    await expect(updatesOf(new PlainClient(ORIGIN, null))).rejects.toMatchObject({ code: 'tab_lost' });
  });

  it('is refused with the words of the router', async () => {
    answerWith(JSON.stringify({ error: { code: 'no_tab', message: 'Nobody serves it.' } }), 503);
    await expect(new PlainClient(ORIGIN, null).ask(QUESTION, {})).rejects.toMatchObject({ code: 'no_tab' });
  });
});
