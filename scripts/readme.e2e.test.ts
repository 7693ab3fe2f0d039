import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CACHE, ROOT } from './paths.ts';
import { type RunningNetwork, startNetwork } from './testing/running-network.ts';

const run = promisify(execFile);
const DOCUMENTED_ROUTER = 'http://localhost:8787';

let network: RunningNetwork;
let readme: string;
const folder = join(CACHE, `readme-${process.pid}`);

beforeAll(async () => {
  readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  network = await startNetwork();
  await network.lend(2);
  await mkdir(folder, { recursive: true });
});
afterAll(async () => {
  await network?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** The README's own text of a fenced block, for the router of this test. */
function block(language: string, containing: string): string {
  const blocks = [...readme.matchAll(/```(\w+)\n([\s\S]*?)```/g)].filter(([, name]) => name === language);
  const found = blocks.find(([, , text]) => text?.includes(containing))?.[2];
  if (found === undefined) throw new Error(`the README has no ${language} block with ${containing}`);
  return found.replaceAll(DOCUMENTED_ROUTER, network.router.url);
}

describe('what the README shows', () => {
  it('the curl command streams an answer', async () => {
    const command = block('sh', '/v1/chat/completions');
    const [url = ''] = /http:\S+/.exec(command) ?? [];
    const header = /-H '([^:]+): ([^']+)'/.exec(command);
    const data = /-d '(.+)'/.exec(command)?.[1];
    const response = await fetch(url, {
      method: 'POST',
      headers: { [header?.[1] ?? '']: header?.[2] ?? '' },
      body: data ?? '',
    });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const events = await response.text();
    expect(events).toContain('"content":');
    expect(events.trimEnd().endsWith('data: [DONE]')).toBe(true);
  });

  it('the program with the openai package prints the answer', async () => {
    const program = join(folder, 'ask.mjs');
    await writeFile(program, block('js', "from 'openai'"));
    expect((await run(process.execPath, [program])).stdout).toBe('The capital of Japan is Tokyo.');
  });

  it('the client package in Node gets a sealed answer too', async () => {
    const { Shoal } = await import('../client/index.ts');
    const shoal = new Shoal({ baseUrl: network.router.url, directLinks: true });
    const completion = await shoal.chat.completions.create({
      model: 'shoal-pup-3m',
      messages: [{ role: 'user', content: 'What is the capital of Japan?' }],
      shoal: { await_verdict: true },
    });
    expect(completion.choices[0]?.message.content).toBe('The capital of Japan is Tokyo.');
    expect(completion.shoal.verdict).toMatchObject({ value: 'valid' });
  });

  it('the page of another site gets a sealed answer and a receipt that holds, and npx shoal verify agrees', async () => {
    const script = `${block('js', 'verifyReceipt')}
      window.said = { text, valid, receipt, key: await shoal.sealed.routerKey() };`;
    const site = createServer((_, response) =>
      response
        .setHeader('content-type', 'text/html')
        .end(`<!doctype html><title>A site</title><script type="module">${script}</script>`),
    );
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    const address = site.address();
    const page = await (await network.browser.profile()).newPage();
    await page.goto(`http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`);
    const said = await (await page.waitForFunction(() => (window as { said?: unknown }).said)).jsonValue();
    const { text, valid, receipt, key } = said as { text: string; valid: boolean; receipt: object; key: string };
    expect({ text, valid }).toEqual({ text: 'The capital of Japan is Tokyo.', valid: true });
    site.close();

    const file = join(folder, 'receipt.json');
    await writeFile(file, JSON.stringify(receipt));
    const words = /npx shoal (verify receipt\.json --key ROUTER_KEY)/.exec(readme)?.[1] ?? '';
    const args = words.replace('receipt.json', file).replace('ROUTER_KEY', key).split(' ');
    const bin = join(ROOT, 'client', 'bin', 'shoal.mjs');
    expect((await run(process.execPath, [bin, ...args])).stdout).toContain('The receipt holds.');
    const other = await run(process.execPath, [bin, ...args.slice(0, -1), 'A'.repeat(43)]).catch((cause) => cause);
    expect(other).toMatchObject({ code: 1, stdout: expect.stringContaining('REFUSED') });
  });
});
