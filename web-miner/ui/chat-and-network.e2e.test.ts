import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningNetwork, startNetwork } from '../../scripts/testing/running-network.ts';
import { DEFAULT_SETTINGS } from '../chat/chat-settings.ts';
import { newExchange, type Turn } from '../chat/exchange.ts';
import { expectAccessible, expectNoSidewaysScroll, focused, LOOKS, openPage, tabTo } from '../testing/page-looks.ts';

let network: RunningNetwork;

beforeAll(async () => {
  network = await startNetwork();
  await network.lend(2, { direct: false });
});
afterAll(() => network?.stop());

const open = (path: string) => openPage(network, path);

/** Asks as a person does, and waits until the conversation is kept. */
async function ask(page: Page, question: string): Promise<void> {
  await page.locator('#prompt').fill(question);
  await page.locator('#send:not([disabled])').click();
  await page.waitForFunction((asked) => {
    const chat = document.querySelector('chat-page');
    return chat?.busy === false && chat.turns.some((turn) => turn.question === asked);
  }, question);
}

async function settle(page: Page): Promise<void> {
  await expectAccessible(page);
  await expectNoSidewaysScroll(page);
}

const MARKDOWN =
  '## A heading\n\nText with `code`, **bold** and [a link](https://example.org/x).\n\n- one\n- two\n\n```js\nconst a = 1;\n```\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n> quoted\n';

const settled = {
  ...newExchange('q', null, true),
  state: 'done',
  note: '',
  task: `task_${'A'.repeat(46)}`,
  tab: 'A'.repeat(43),
  request: { model: 'shoal-pup-3m', messages: [{ role: 'user', content: 'q' }] },
  receiptHolds: true,
  tokensPerSecond: 12,
  promptPath: 'relay',
} as const;

const exact = { method: 'exact-re-execution', blocks: 4, agree: 0, differ: 2, cosine: null } as const;

/** Answers in states that the little network here does not come to by itself. */
const STATES: readonly Turn[] = [
  { question: 'Markdown', answers: [{ ...settled, answer: MARKDOWN }], picked: 0 },
  {
    question: 'A wrong answer',
    answers: [{ ...settled, answer: 'word '.repeat(50), verdict: { ...exact, value: 'invalid', falseBlock: 2 } }],
    picked: 0,
  },
  {
    question: 'Two side by side, one of them in dispute',
    answers: [
      {
        ...settled,
        answer: 'one',
        verdict: { ...exact, method: 'forced-decode', value: 'valid', falseBlock: null, agree: 1 },
      },
      {
        ...settled,
        answer: 'two',
        isCut: true,
        verdict: { ...exact, method: 'forced-decode', value: 'disputed', falseBlock: null },
      },
    ],
    picked: 1,
  },
  {
    question: 'Not checked, and a receipt that does not hold',
    answers: [{ ...settled, answer: 'x', receiptHolds: false, verdict: { value: 'unchecked', reason: 'nobody_fit' } }],
    picked: 0,
  },
  {
    question: 'Waiting',
    answers: [{ ...settled, state: 'waiting', note: 'Waiting for a tab: you are next, about 3 s' }],
    picked: 0,
  },
  {
    question: 'Writing',
    answers: [{ ...settled, state: 'writing', note: 'Writing', answer: 'half an', receiptHolds: null }],
    picked: 0,
  },
  { question: 'Failed', answers: [{ ...settled, state: 'failed', note: 'No tab. Lend one.', task: null }], picked: 0 },
  { question: 'Stopped', answers: [{ ...settled, state: 'stopped', note: 'Stopped', answer: 'half an' }], picked: 0 },
];

describe.each(LOOKS)('$colorScheme, $width wide', (look) => {
  it('axe finds nothing around answers in every state, the settings, the code and the conversations', async () => {
    const { page, complaints } = await openPage(network, '/chat', look);
    await ask(page, 'What is the capital of Japan?');
    await page.evaluate((turns) => {
      document.querySelector('chat-page')!.turns = turns as never;
    }, STATES);
    await page.locator('markdown-view table').waitFor();
    for (const summary of await page.locator('chat-page summary').all()) await summary.click();
    await page.getByRole('button', { name: 'Delete all' }).click();
    await settle(page);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('axe finds nothing on /network: with figures and a proof, empty, and out of reach', async () => {
    const { page, complaints } = await openPage(network, '/chat', look);
    await ask(page, 'What is the capital of Japan?');
    await expect
      .poll(async () => (await (await fetch(`${network.router.url}/v1/network`)).json()).recent.length)
      .toBeGreaterThan(0);
    await page.goto(`${network.router.url}/network`);
    await page.locator('canvas').first().waitFor();
    for (const summary of await page.locator('history-chart summary').all()) await summary.click();
    await page.locator('recent-receipts summary').first().click();
    await page.getByRole('button', { name: 'Prove that it is in the log' }).first().click();
    await page.getByText('It is in the log', { exact: true }).waitFor();
    await settle(page);
    expect(complaints).toEqual([]);
    const figures = await (await fetch(`${network.router.url}/v1/network`)).json();
    const nobody = { ...figures, tabs: 0, free_tabs: 0, networks: 0, recent: [] };
    const before = { object: 'network.history', minutes: [], hours: [] };
    await page.route('**/v1/network', (route) => route.fulfill({ json: nobody }));
    await page.route('**/v1/network/history', (route) => route.fulfill({ json: before }));
    await page.goto(`${network.router.url}/network`);
    await page.getByText('No tab is here yet').waitFor();
    await page.getByText('figures come with the first tab').waitFor();
    await settle(page);
    await page.route('**/v1/network', (route) => route.abort());
    await page.reload();
    await page.getByRole('alert').waitFor();
    await settle(page);
    await page.context().close();
  });
});

describe('by keyboard alone', () => {
  it('a visitor comes from the first page to a chat, asks, opens the code, changes the question, and deletes the conversation', async () => {
    const { page } = await open('/');
    await page.getByText('tabs swim').waitFor();
    await tabTo(page, /^Ask the shoal$/);
    await page.keyboard.press('Enter');
    await page.locator('#send:not([disabled])').waitFor();
    await tabTo(page, 'prompt');
    await page.keyboard.type('What is the capital of Japan?');
    await page.keyboard.press('Enter');
    await page.getByText('Checked:').waitFor();
    expect((await focused(page)).id).toBe('prompt');
    await tabTo(page, /^Ask this from code$/, 'Shift+Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('group', { name: 'Code' }).waitFor();
    await tabTo(page, /^Edit$/, 'Shift+Tab');
    await page.keyboard.press('Enter');
    await page.waitForFunction(
      () => document.querySelector('chat-page')?.shadowRoot?.activeElement?.tagName === 'CHAT-COMPOSER',
    );
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type('How do I make a cup of tea?');
    await page.keyboard.press('Enter');
    await page.getByText('Boil some').waitFor();
    await page.locator('#send').waitFor();
    expect(await page.locator('chat-turn').count()).toBe(1);
    await tabTo(page, /^Conversations in this browser/, 'Shift+Tab');
    await page.keyboard.press('Enter');
    await tabTo(page, /^Delete$/);
    await page.keyboard.press('Space');
    await page.locator('chat-turn').waitFor({ state: 'detached' });
    await page.locator('chat-history summary').waitFor({ state: 'detached' });
    await page.context().close();
  });

  it('a visitor looks at a week of the network, and has a receipt proven', async () => {
    const { page } = await open('/chat');
    await ask(page, 'What is the capital of Japan?');
    await expect
      .poll(async () => (await (await fetch(`${network.router.url}/v1/network`)).json()).recent.length)
      .toBeGreaterThan(0);
    await page.goto(`${network.router.url}/network`);
    await page.locator('recent-receipts').waitFor();
    await tabTo(page, /^A week$/);
    await page.keyboard.press('Enter');
    expect(await page.getByRole('button', { name: 'A week' }).getAttribute('aria-pressed')).toBe('true');
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press('Tab');
      if (
        await page.evaluate(
          () => document.querySelector('network-page')?.shadowRoot?.activeElement?.tagName === 'RECENT-RECEIPTS',
        )
      )
        break;
    }
    await page.keyboard.press('Enter');
    await tabTo(page, /^Prove that it is in the log$/);
    await page.keyboard.press('Enter');
    await page.getByText('It is in the log', { exact: true }).waitFor();
    await page.context().close();
  });

  it('a visitor changes the theme, and finds it changed on the next page, before its first paint', async () => {
    const { page } = await open('/');
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.locator('theme-switch button').waitFor();
    await page.locator('theme-switch button').focus();
    await page.keyboard.press('Enter');
    const dark = await ground();
    expect(dark).not.toBe(light);
    await page.goto(`${network.router.url}/audit`, { waitUntil: 'commit' });
    await page.waitForFunction(() => document.body !== null);
    expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe('dark');
    expect(await ground()).toBe(dark);
    await page.context().close();
  });
});

describe('a conversation', () => {
  it('goes by plain HTTP where that is chosen, with the level that is chosen, and says that the router could read it', async () => {
    const { page } = await open('/chat');
    await page.locator('#private').uncheck();
    await page.locator('#level').selectOption('cross');
    await page.getByText('Your prompt goes by plain HTTP now').waitFor();
    const request = page.waitForRequest('**/v1/chat/completions');
    await ask(page, 'What is the capital of Japan?');
    expect((await request).postDataJSON()).toMatchObject({ shoal: { level: 'cross', await_verdict: true } });
    await page.getByText('Checked:').waitFor();
    const [turn] = await page.evaluate(() => document.querySelector('chat-page')!.turns);
    expect(turn?.answers[0]).toMatchObject({
      state: 'done',
      answer: 'The capital of Japan is Tokyo.',
      isPrivate: false,
      receiptHolds: true,
      verdict: { value: 'valid' },
    });
    expect(turn?.answers[0]?.readableBytes).toBeGreaterThan(0);
    await page.context().close();
  });

  it('has answers side by side, and stops them all', async () => {
    const { page } = await open('/chat');
    await page.locator('#answers').selectOption('2');
    await ask(page, 'What is the capital of Japan?');
    expect(await page.locator('chat-answer').count()).toBe(2);
    await page.getByRole('button', { name: 'Go on from this one' }).click();
    expect(await page.evaluate(() => document.querySelector('chat-page')!.turns[0]?.picked)).toBe(1);
    await page.locator('#prompt').fill('Tell me a short story.');
    await page.locator('#send').click();
    await page.locator('#stop').click();
    await page.locator('#send').waitFor();
    const states = await page.evaluate(() =>
      document.querySelector('chat-page')!.turns[1]?.answers.map(({ state }) => state),
    );
    expect(states).toEqual(['stopped', 'stopped']);
    await page.context().close();
  });

  it('is there after a reload, is exported as it is, and is gone when it is deleted', async () => {
    const { page } = await open('/chat');
    await ask(page, 'What is the capital of Japan?');
    await page.getByText('Conversations in this browser (1)').waitFor();
    await page.reload();
    await page.getByText('Conversations in this browser (1)').click();
    await page.getByRole('button', { name: 'What is the capital of Japan?', exact: true }).click();
    await page.getByText('Tokyo').waitFor();
    const saved = async (name: string) => {
      const download = page.waitForEvent('download');
      await page.getByRole('button', { name }).click();
      return readFile(await (await download).path(), 'utf8');
    };
    expect(await saved('Export as Markdown')).toContain('The capital of Japan is Tokyo.');
    expect(JSON.parse(await saved('Export as JSON'))).toMatchObject({
      format: 'shoal-conversation',
      turns: [{ question: 'What is the capital of Japan?' }],
    });
    await page.getByRole('button', { name: 'Delete all', exact: true }).click();
    await page.getByRole('button', { name: 'Delete all of them' }).click();
    await page.locator('chat-turn').waitFor({ state: 'detached' });
    await page.reload();
    await page.locator('#send:not([disabled])').waitFor();
    expect(await page.locator('chat-history summary').count()).toBe(0);
    await page.context().close();
  });

  it('is asked the same way after a reload: model, level, answers, sampling, private or plain, direct links', async () => {
    const { page } = await open('/chat');
    await page.locator('#send:not([disabled])').waitFor();
    await page.locator('#level').selectOption('strict');
    await page.locator('#answers').selectOption('3');
    await page.locator('#direct').check();
    await page.getByText('System prompt, sampling, API key').click();
    await page.locator('#system').fill('Be brief.');
    await page.locator('#temperature').fill('0.5');
    await page.locator('#temperature').blur();
    await page.locator('#private').uncheck();
    await page.reload();
    await page.getByText('System prompt, sampling, API key: 2 set').waitFor();
    const chosen = () =>
      page.evaluate(() => {
        const { settings, direct } = document.querySelector('chat-page')!;
        return { ...settings, direct };
      });
    expect(await chosen()).toEqual({
      ...DEFAULT_SETTINGS,
      level: 'strict',
      answers: 3,
      system: 'Be brief.',
      temperature: 0.5,
      isPrivate: false,
      direct: true,
    });
    await page.getByText('System prompt, sampling, API key').click();
    await page.getByRole('button', { name: 'Empty these fields' }).click();
    expect(await chosen()).toMatchObject({ level: 'strict', system: '', temperature: null });
    await page.context().close();
  });

  it('keeps an API key only where that is asked for', async () => {
    const { page } = await open('/chat');
    const enter = async () => {
      await page.getByText('System prompt, sampling, API key').click();
      await page.locator('#key').fill('sk-test');
      await page.locator('#key').blur();
    };
    const kept = () => page.evaluate(() => JSON.stringify(localStorage));
    await enter();
    expect(await kept()).not.toContain('sk-test');
    await page.locator('#keep-key').check();
    expect(await kept()).toContain('sk-test');
    await page.reload();
    await page.locator('#send:not([disabled])').waitFor();
    expect(await page.evaluate(() => document.querySelector('chat-page')!.apiKey)).toBe('sk-test');
    await page.getByText('System prompt, sampling, API key').click();
    await page.locator('#keep-key').uncheck();
    expect(await kept()).not.toContain('sk-test');
    await page.context().close();
  });

  it('goes on where this browser keeps nothing', async () => {
    const { page } = await openPage(network, '/chat', LOOKS[0], async (opened) => {
      await opened.addInitScript(() => {
        Object.defineProperty(window, 'indexedDB', { value: undefined });
        Storage.prototype.getItem = () => {
          throw new DOMException('switched off', 'SecurityError');
        };
      });
    });
    await ask(page, 'What is the capital of Japan?');
    await page.getByText('Tokyo').waitFor();
    await page.context().close();
  });
});

describe('the pages as an app', () => {
  it('can be installed: a manifest that the policy lets through, and icons of the size that it says', async () => {
    const { page } = await open('/');
    const manifest = await page.evaluate(async () => {
      const link = document.querySelector<HTMLLinkElement>('link[rel=manifest]');
      const { icons, start_url: start, display } = await (await fetch(link!.href)).json();
      const sizes = await Promise.all(
        icons.map(async ({ src, sizes }: { src: string; sizes: string }) => {
          if (sizes === 'any') return (await fetch(src)).ok;
          const picture = new Image();
          picture.src = src;
          await picture.decode();
          return `${picture.naturalWidth}x${picture.naturalHeight}` === sizes;
        }),
      );
      return { start, display, sizes };
    });
    expect(manifest).toEqual({ start: '/', display: 'standalone', sizes: [true, true, true, true] });
    await page.context().close();
  });

  it('have one header, one navigation, one main and one footer each', async () => {
    const { page } = await open('/');
    const headers = new Set<string>();
    for (const path of ['/', '/join', '/chat', '/network', '/audit', '/nothing-here']) {
      await page.goto(network.router.url + path);
      for (const role of ['banner', 'navigation', 'main', 'contentinfo'] as const) {
        expect(await page.getByRole(role).count(), `${role} on ${path}`).toBe(1);
      }
      const header = await page
        .locator('header')
        .evaluate((element) => element.outerHTML.replaceAll(/ aria-current="page"/g, ''));
      headers.add(header);
    }
    expect(headers.size).toBe(1);
    await page.context().close();
  });
});
