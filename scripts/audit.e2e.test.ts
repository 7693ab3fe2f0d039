import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import axe, { type AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Shoal } from '../client/index.ts';
import type { Completion } from '../shared/sealed-task/completion.ts';
import { ROOT } from './paths.ts';
import { type RunningNetwork, startNetwork } from './testing/running-network.ts';

const run = promisify(execFile);
const REQUEST = {
  model: 'shoal-pup-3m:q8_0',
  messages: [{ role: 'user' as const, content: 'How do I make a cup of tea?' }],
  temperature: 0.8,
  seed: 20_261,
};

let network: RunningNetwork;
let folder: string;

beforeAll(async () => {
  network = await startNetwork();
  folder = await mkdtemp(join(tmpdir(), 'shoal-audit-'));
});
afterAll(async () => {
  await network?.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Saved {
  readonly receiptFile: string;
  readonly transcriptFile: string;
  readonly transcript: { readonly request: typeof REQUEST; readonly response: Completion };
}

const fetchReceipt = ({ shoal }: Completion) => fetch(`${network.router.url}/v1/receipts/${shoal.receipt}`);

/** Both files, as a person would have saved them. */
async function save(name: string, response: Completion): Promise<Saved> {
  const receiptFile = join(folder, `${name}.receipt.json`);
  const transcriptFile = join(folder, `${name}.transcript.json`);
  let answer = await fetchReceipt(response);
  for (let i = 0; i < 200 && !answer.ok; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    answer = await fetchReceipt(response);
  }
  await writeFile(receiptFile, await answer.text());
  const transcript = { request: REQUEST, response };
  await writeFile(transcriptFile, JSON.stringify(transcript));
  return { receiptFile, transcriptFile, transcript };
}

async function ask(name: string): Promise<Saved> {
  const response = await fetch(`${network.router.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...REQUEST, shoal: { level: 'none' } }),
  });
  return save(name, (await response.json()) as Completion);
}

const shoalAudit = (...args: string[]) => shoal('audit', ...args);

function shoal(...args: string[]): Promise<{ readonly status: number; readonly out: string }> {
  return run(process.execPath, [join(ROOT, 'client', 'bin', 'shoal.mjs'), ...args]).then(
    ({ stdout }) => ({ status: 0, out: stdout }),
    (cause: { code: number; stdout: string; stderr: string }) => ({
      status: cause.code,
      out: cause.stdout + cause.stderr,
    }),
  );
}

async function expectAccessible(page: Page): Promise<void> {
  await page.evaluate(axe.source);
  const results = await page.evaluate(() => (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run());
  expect(results.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(', ')}`)).toEqual([]);
}

describe('an audit in a browser of this machine', () => {
  let honest: Saved;
  beforeAll(async () => {
    const [tab] = await network.lend(1);
    honest = await ask('honest');
    const shoal = new Shoal({ baseUrl: network.router.url });
    await save('private', await shoal.chat.completions.create({ ...REQUEST, shoal: { level: 'none' } }));
    await tab?.context().close();
  });

  it('agrees to the bit with an answer that went by plain HTTP', async () => {
    const { status, out } = await shoalAudit(honest.receiptFile, honest.transcriptFile, '--key', network.routerKey);
    expect({ status, out }).toEqual({ status: 0, out: expect.stringContaining('agrees to the bit') });
  });

  it('agrees to the bit with a private answer, as the client package gave it', async () => {
    const files = ['receipt', 'transcript'].map((what) => join(folder, `private.${what}.json`));
    const { status, out } = await shoalAudit(...files, '--router', network.router.url);
    expect({ status, out }).toEqual({ status: 0, out: expect.stringContaining('agrees to the bit') });
    expect(out).toContain('The key came from the router itself');
  });

  it('says of a transcript with one word changed that this is not what was signed', async () => {
    const [choice] = honest.transcript.response.choices;
    const words = (choice?.message.content ?? '').split(' ');
    words[3] = 'x'.repeat(words[3]?.length ?? 1);
    const choices = [{ ...choice, message: { ...choice?.message, content: words.join(' ') } }];
    const edited = { ...honest.transcript, response: { ...honest.transcript.response, choices } };
    const file = join(folder, 'edited.json');
    await writeFile(file, JSON.stringify(edited));
    const { status, out } = await shoalAudit(honest.receiptFile, file, '--key', network.routerKey);
    expect({ status, out }).toEqual({ status: 1, out: expect.stringContaining('not the text that was signed') });
    expect(out).toContain('block 0');
  });

  it('names the first false block of an answer whose tab altered one token, though nobody checked it', async () => {
    const liar = await network.examPage();
    await liar.evaluate(() => window.exam.lendWithOneTokenAltered(20));
    const altered = await ask('altered');
    await liar.context().close();
    const { status, out } = await shoalAudit(altered.receiptFile, altered.transcriptFile, '--key', network.routerKey);
    expect({ status, out }).toEqual({ status: 1, out: expect.stringMatching(/block \d+ is the first false one/) });
    expect(out).toMatch(/signed {3}“.*x.*”\n {2}written {2}“/);
  });

  it('gives 2 and a sentence when it cannot be done', async () => {
    for (const args of [
      [],
      [honest.receiptFile],
      [honest.receiptFile, join(folder, 'absent.json')],
      [honest.receiptFile, honest.receiptFile, '--key', network.routerKey],
      [honest.receiptFile, honest.transcriptFile, 'more'],
      [honest.receiptFile, honest.transcriptFile, '--colour', 'x'],
    ]) {
      const { status, out } = await shoalAudit(...args);
      expect({ args, status }).toEqual({ args, status: 2 });
      expect(out.length).toBeGreaterThan(10);
      expect(out).not.toContain('    at ');
    }
  });

  it('refuses a receipt under another key without opening a browser', async () => {
    const { status, out } = await shoalAudit(honest.receiptFile, honest.transcriptFile, '--key', 'A'.repeat(43));
    expect({ status, out }).toEqual({ status: 1, out: expect.stringContaining('does not hold') });
  });

  it('takes the files that a page saves: a private question asked on /chat, audited on /audit', async () => {
    const [tab] = await network.lend(1);
    const page = await (await network.browser.profile()).newPage();
    await page.goto(`${network.router.url}/chat`);
    await page.locator('#prompt').fill('What is the capital of Japan?');
    await page.locator('#send').click();
    await page.getByText('Path and receipt').click();
    const files: string[] = [];
    for (const what of ['receipt', 'transcript']) {
      const saving = page.waitForEvent('download');
      await page.getByRole('button', { name: `Save the ${what}` }).click();
      const file = join(folder, (await saving).suggestedFilename());
      await (await saving).saveAs(file);
      files.push(file);
    }
    await expectAccessible(page);
    await tab?.context().close();
    await page.goto(`${network.router.url}/audit`);
    await page.locator('#pick').setInputFiles(files);
    await page.locator('#audit').click();
    await page.getByText('agrees to the bit').waitFor();
    await page.context().close();
  });

  it('finds every receipt in the public log, and the log only grown', async () => {
    const words = ['verify', honest.receiptFile, '--router', network.router.url, '--key', network.routerKey];
    await expect
      .poll(async () => (await shoal(...words)).out, { timeout: 30_000, interval: 1_000 })
      .toMatch(/It is entry \d+ of \d+ in the log/);
    const head = join(folder, 'head.json');
    const watch = ['log', '--router', network.router.url, '--key', network.routerKey];
    expect((await shoal(...watch, '--save', head)).status).toBe(0);
    const { status, out } = await shoal(...watch, '--since', head, '--entries');
    expect({ status, out }).toEqual({ status: 0, out: expect.stringContaining('unchanged') });
  });

  it('is done by a person on /audit: two files, one button, by keyboard, and axe finds nothing', async () => {
    const page = await (await network.browser.profile()).newPage();
    const complaints: string[] = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    await page.goto(`${network.router.url}/audit`);
    await page.locator('#pick').setInputFiles([honest.transcriptFile]);
    expect(await page.locator('#audit').isDisabled()).toBe(true);
    await page.locator('#pick').setInputFiles([honest.receiptFile]);
    await expectAccessible(page);
    await page.locator('#key').focus();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByText('agrees to the bit').waitFor();
    await expectAccessible(page);
    expect(complaints).toEqual([]);
    await page.context().close();
  });
});
