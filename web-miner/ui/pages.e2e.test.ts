import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningNetwork, startNetwork } from '../../scripts/testing/running-network.ts';
import { lendViews } from '../testing/lend-views.ts';
import { expectAccessible, expectNoSidewaysScroll, LOOKS, type Look, openPage, tabTo } from '../testing/page-looks.ts';

let network: RunningNetwork;

beforeAll(async () => {
  network = await startNetwork();
  await network.lend(2, { direct: false });
});
afterAll(() => network?.stop());

const open = (path: string, look?: Look) => openPage(network, path, look);

// First: a step of pay is worth several answers of the model, and longer ones, which others ask for here, would raise it.
describe('an owner of devices', () => {
  const call = async <T>(path: string, key: string, body?: object): Promise<T> => {
    const response = await fetch(network.router.url + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return (await response.json()) as T;
  };
  const ask = (key: string, shoal: object, part: object = {}) =>
    call<{ shoal?: { tab: string }; error?: object; tabs?: { answering: number } }>('/v1/chat/completions', key, {
      model: 'shoal-pup-3m',
      messages: [{ role: 'user', content: 'What is the capital of Japan?' }],
      shoal: { level: 'none', ...shoal },
      ...part,
    });

  it('[O6] [O7] [O8] pairs a tab by a link, asks it alone, and is paid what it earned', async () => {
    const { key, account } = await call<{ key: string; account: string }>('/v1/keys', network.operator, {
      name: 'Ann & co',
    });
    await call('/v1/credits', network.operator, { id: 'gift', account, amount: 1_000_000 });
    const { link } = await call<{ link: string }>('/v1/account/pairings', key, {});
    // On a busy machine the rules of comfort would keep it from working.
    const { page, complaints } = await open(`/join#pair=${'x'.repeat(99)}&whole-machine`);
    await page.getByText('This code is unknown, was used, or is over.').waitFor();
    // Where the page is open already a link changes its address, and loads nothing.
    await page.evaluate((hash) => (location.hash = hash), `${new URL(link).hash}&whole-machine`);
    await page.getByText('calls their account Ann & co').waitFor();
    expect(page.url()).toBe(`${network.router.url}/join#whole-machine=`);
    await expectAccessible(page);
    await page.locator('#pair-yes').click();
    await page.locator('#owner').waitFor();
    await page.locator('#model').selectOption('shoal-pup-3m:q8_0');
    await page.locator('#start').click();
    await page.locator('#answers').waitFor();

    const { id: session } = await call<{ id: string }>('/v1/sessions', key, { placement: { own_devices_only: true } });
    await expect.poll(async () => (await ask(key, { session, dry_run: true })).tabs?.answering).toBe(1);
    const answer = await ask(key, { session });
    const devices = () =>
      call<{ data: { tab: string; earned: number; collected: number }[] }>('/v1/account/devices', key);
    expect((await devices()).data.map(({ tab }) => tab)).toEqual([answer.shoal?.tab]);
    // What is earned is told in steps of several tasks.
    await ask(key, { session }, { n: 24, max_tokens: 2 });
    await page.locator('#collected').waitFor({ timeout: 15_000 });
    expect(Number(await page.locator('#collected').textContent())).toBeGreaterThan(0);
    const { data } = await call<{ data: { kind: string; amount: number }[] }>('/v1/account/statement', key);
    const collected = data.filter(({ kind }) => kind === 'collect').reduce((sum, { amount }) => sum + amount, 0);
    expect(collected).toBe((await devices()).data[0]?.collected);

    await page.locator('#pair-leave').click();
    await page.getByText('This tab works for no account').waitFor();
    expect(await ask(key, { session })).toMatchObject({ error: { code: 'no_tab' } });
    expect(complaints.filter((text) => !text.includes('404'))).toEqual([]); // Of the first code.
    await page.context().close();
  });
});

describe.each(LOOKS)('$colorScheme, $width wide', (look) => {
  it.each(['/', '/join', '/chat', '/network', '/audit', '/nothing-here'])('axe finds nothing on %s', async (path) => {
    const { page, complaints } = await open(path, look);
    await page.waitForTimeout(400);
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    expect(complaints.filter((text) => !text.includes('404'))).toEqual([]);
    await page.context().close();
  });

  it('axe finds nothing while a tab serves, and after it was stopped', async () => {
    const { page, complaints } = await open('/join', look);
    await page.locator('#start').click();
    await page.locator('#answers').waitFor();
    await page.getByText('This tab’s name on the network').click();
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    await page.locator('#stop').click();
    await page.getByText('Stopped', { exact: true }).waitFor();
    await expectAccessible(page);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('axe finds nothing while it is paused, and in another tab of the browser that shows it', async () => {
    const { page, complaints } = await open('/join', look);
    await page.locator('#start').click();
    await page.locator('#pause').click();
    await page.getByText('You paused it.', { exact: true }).waitFor();
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    const viewer = await page.context().newPage();
    await viewer.goto(`${network.router.url}/join`);
    await viewer.getByText('This is what another tab of this browser does.').waitFor();
    await viewer.locator('#take-over:not([disabled])').waitFor();
    await expectAccessible(viewer);
    await expectNoSidewaysScroll(viewer);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('axe finds nothing where the browser has no room for the model, and where the model cannot be had', async () => {
    const { page } = await open('/join', look);
    await page.locator('#start:not([disabled])').waitFor();
    await page.evaluate(() => {
      const model = { weights: 'a'.repeat(64), name: 'another:q8_0', storedBytes: 5e6, wholeBytes: 9e6, usedAt: 1 };
      const others = [model, { ...model, name: null }];
      const shortage = { neededBytes: 3e6, freeBytes: 1e6, others };
      document.querySelector('join-page')!.view = { phase: 'shortage', shortage };
    });
    await page.getByText('There is no room to keep this model').waitFor();
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    await page.evaluate(() => (document.querySelector('join-page')!.view = { phase: 'idle' }));
    await page.context().route('**/models/catalogue.json', (route) => route.fulfill({ status: 503 }));
    await page.locator('#start').click();
    await page.getByText('That did not work').waitFor();
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    await page.context().close();
  });

  it('axe finds nothing in a browser that cannot lend, and on the way to an answer: preparing, downloading, resting, broken, finishing', async () => {
    const { page, complaints } = await openPage(network, '/join', look, async (opened) => {
      await opened.addInitScript(() => {
        WebAssembly.validate = () => false;
      });
    });
    await page.getByText('This browser lacks WebAssembly with SIMD').waitFor();
    expect(await page.locator('#start').count()).toBe(0);
    expect(await page.getByRole('main').getByRole('link', { name: 'Ask the shoal' }).getAttribute('href')).toBe(
      '/chat',
    );
    await page.evaluate((views) => {
      const main = document.querySelector('main')!;
      const standing = {
        class: 'c',
        standing: 'suspected',
        text: 'An answer was wrong.',
        next: 'Wait.',
        waitsUntil: 1e15,
      };
      for (const view of views) main.append(Object.assign(document.createElement('lend-state'), { view, standing }));
    }, lendViews('smollm2-135m-instruct:q4_1'));
    await page.getByText('Starting the engine again').waitFor();
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('axe finds nothing on /audit at work, and when it failed', async () => {
    const { page, complaints } = await open('/audit', look);
    await page.locator('#pick').waitFor();
    for (const audited of [
      { state: 'working', phase: { phase: 'writing', model: 'shoal-pup-3m:q8_0', tokens: 12 } },
      { state: 'failed', reason: 'The receipt does not hold.' },
    ]) {
      await page.evaluate((state) => {
        document.querySelector('audit-page')!.audited = state as never;
      }, audited);
      await page.locator('#outcome').waitFor();
      await expectAccessible(page);
      await expectNoSidewaysScroll(page);
    }
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('axe finds nothing around an answer, its receipt, and an error', async () => {
    const { page, complaints } = await open('/chat', look);
    await page.locator('#prompt').fill('How do I make a cup of tea?');
    await page.locator('#send').click();
    await page.getByText('Checked:').waitFor();
    await page.getByText('Path and receipt').click();
    await page.getByText('It does not prove that these tabs belong to different people.').waitFor();
    const lookInLog = async () => {
      await page.getByRole('button', { name: 'Find it in the public log' }).click();
      return page.locator('receipt-view [role=status]').textContent();
    };
    // It comes to the log a few seconds after its task: waited for once.
    if (look === LOOKS[0])
      await expect.poll(lookInLog, { timeout: 30_000, interval: 500 }).toMatch(/^It is there: number/);
    else await lookInLog();
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    await page.locator('#prompt').fill('word '.repeat(900));
    await page.locator('#send').click();
    await page.getByText('Begin a new conversation').waitFor();
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    // The proof that was not there yet.
    expect(complaints.filter((text) => !text.includes('404'))).toEqual([]);
    await page.context().close();
  });
});

describe('by keyboard alone', () => {
  it('a visitor says what the tab may be used for and when, lends it, pauses, and stops it', async () => {
    const { page } = await open('/join');
    await page.locator('#start:not([disabled])').waitFor();
    await tabTo(page, 'role-answer');
    await page.keyboard.press('ArrowDown');
    expect(await page.evaluate(() => document.querySelector('join-page')!.checkOnly)).toBe(true);
    await tabTo(page, 'onlyInForeground');
    await page.keyboard.press('Space');
    expect(await page.evaluate(() => document.querySelector('join-page')!.budget.onlyInForeground)).toBe(true);
    await tabTo(page, 'start', 'Shift+Tab');
    await page.keyboard.press('Enter');
    await page.locator('#answers').waitFor();
    await tabTo(page, 'pause');
    await page.keyboard.press('Enter');
    await page.getByText('You paused it.', { exact: true }).waitFor();
    await tabTo(page, 'stop');
    await page.keyboard.press('Space');
    await page.getByText('Stopped', { exact: true }).waitFor();
    await page.context().close();
  });

  it('a visitor asks, with Enter, and opens the receipt', async () => {
    const { page } = await open('/chat');
    await page.locator('#send:not([disabled])').waitFor();
    await tabTo(page, 'prompt');
    await page.keyboard.type('What is the capital of Japan?');
    await page.keyboard.press('Enter');
    await page.getByText('Checked:').waitFor();
    await page.getByText('The capital of Japan is Tokyo.').waitFor();
    await tabTo(page, /^Path and receipt$/, 'Shift+Tab');
    await page.keyboard.press('Enter');
    await page.getByText('verified in this page').waitFor();
    await page.context().close();
  });

  it('the skip link leads to the content', async () => {
    const { page } = await open('/join');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    expect(new URL(page.url()).hash).toBe('#main');
    await page.context().close();
  });
});

describe('a visitor who is quicker than the network', () => {
  it('is answered when the list of models comes after the question', async () => {
    const page = await (await network.browser.profile()).newPage();
    await page.route('**/v1/models', async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      await route.continue();
    });
    await page.goto(`${network.router.url}/chat`);
    const exchange = await page.evaluate(() =>
      document.querySelector('chat-page')!.ask('What is the capital of Japan?'),
    );
    expect(exchange, exchange.note).toMatchObject({ state: 'done', answer: 'The capital of Japan is Tokyo.' });
    await page.context().close();
  });

  it('is told so when there is no list', async () => {
    const page = await (await network.browser.profile()).newPage();
    await page.route('**/v1/models', (route) => route.abort());
    await page.goto(`${network.router.url}/chat`);
    const exchange = await page.evaluate(() =>
      document.querySelector('chat-page')!.ask('What is the capital of Japan?'),
    );
    expect(exchange).toMatchObject({ state: 'failed', answer: '' });
    expect(exchange.note.length).toBeGreaterThan(20);
    await page.context().close();
  });
});

describe('a page of another site', () => {
  let site: Server;
  let origin: string;
  beforeAll(async () => {
    const page = `<!doctype html><title>Another site</title><script type="module">
      import * as client from '${network.router.url}/client/index.js';
      window.client = client;
    </script>`;
    site = createServer((_, response) => response.setHeader('content-type', 'text/html').end(page));
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    const address = site.address();
    origin = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  });
  afterAll(() => site.close());

  it('uses the client package that the router serves: a sealed answer, streamed, with a receipt that it verifies', async () => {
    const page = await (await network.browser.profile()).newPage();
    await page.goto(origin);
    await page.waitForFunction(() => 'client' in window);
    const result = await page.evaluate(async (router) => {
      const { client } = window as unknown as { client: typeof import('../../client/index.ts') };
      const { Shoal, verifyReceipt } = client;
      const shoal = new Shoal({ baseUrl: router });
      const pieces: string[] = [];
      let verdict: unknown = null;
      let task = '';
      const stream = await shoal.chat.completions.create({
        model: 'shoal-pup-3m',
        stream: true,
        messages: [{ role: 'user', content: 'What is the capital of Japan?' }],
        shoal: { await_verdict: true },
      });
      for await (const chunk of stream) {
        pieces.push(chunk.choices[0]?.delta.content ?? '');
        verdict = chunk.shoal?.verdict.value ?? verdict;
        task = chunk.shoal?.receipt ?? task;
      }
      const receipt = await shoal.sealed.receipt(task);
      const { valid } = await verifyReceipt(receipt, { routerKey: await shoal.sealed.routerKey() });
      const whole = await shoal.chat.completions.create({
        model: 'shoal-pup-3m',
        messages: [{ role: 'user', content: 'What is the capital of Japan?' }],
      });
      return { text: pieces.join(''), pieces: pieces.length, verdict, valid, whole: whole.choices[0]?.message.content };
    }, network.router.url);
    expect(result).toMatchObject({
      text: 'The capital of Japan is Tokyo.',
      verdict: 'valid',
      valid: true,
      whole: 'The capital of Japan is Tokyo.',
    });
    expect(result.pieces).toBeGreaterThan(1);
    await page.context().close();
  });
});
