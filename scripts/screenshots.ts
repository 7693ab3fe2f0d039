import './require-node.ts';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import type {} from '../web-miner/ui/chat-page.ts'; // Declares the element.
import { readArguments } from './command-line.ts';
import { startNetwork } from './testing/running-network.ts';

const USAGE = `npm run screenshots -- [--out DIR] [--only PATTERN]

Every page in its states, wide and 360 wide, light and dark, from a router and tabs that are started for it.

  --out    where the pictures go (screenshots)
  --only   scenes whose names this pattern finds; the network has something to show after a scene that asks`;

const { values } = readArguments(USAGE, {
  out: { type: 'string', default: 'screenshots' },
  only: { type: 'string', default: '' },
});

const LOOKS = [
  { name: 'wide-light', width: 1280, height: 900, colorScheme: 'light' },
  { name: 'wide-dark', width: 1280, height: 900, colorScheme: 'dark' },
  { name: 'phone-light', width: 360, height: 740, colorScheme: 'light' },
  { name: 'phone-dark', width: 360, height: 740, colorScheme: 'dark' },
] as const;

interface Scene {
  readonly name: string;
  readonly path: string;
  /** Before the page is opened. */
  readonly prepare?: (page: Page) => Promise<unknown>;
  readonly act?: (page: Page) => Promise<void>;
}

async function ask(page: Page, question: string): Promise<void> {
  await page.locator('#prompt').fill(question);
  await page.locator('#send').click();
  await page.waitForFunction(() => {
    const chat = document.querySelector('chat-page');
    return chat?.busy === false && chat.turns.length > 0;
  });
}

const BEFORE_TABS: readonly Scene[] = [
  { name: 'home-empty', path: '/' },
  { name: 'network-empty', path: '/network' },
];
const SCENES: readonly Scene[] = [
  { name: 'join', path: '/join' },
  {
    name: 'join-serving',
    path: '/join',
    async act(page) {
      await page.locator('#start:not([disabled])').click();
      await page.locator('#answers').waitFor();
      await page.waitForTimeout(1_500); // It is connected, and has a second on its chart.
    },
  },
  {
    name: 'join-stopped',
    path: '/join',
    async act(page) {
      await page.locator('#start:not([disabled])').click();
      await page.locator('#answers').waitFor();
      await page.locator('#stop').click();
    },
  },
  {
    name: 'join-cannot',
    path: '/join',
    prepare: (page) =>
      page.addInitScript(() => {
        WebAssembly.validate = () => false;
      }),
  },
  { name: 'audit', path: '/audit' },
  { name: 'not-found', path: '/nothing-here' },
  { name: 'chat', path: '/chat' },
  {
    name: 'chat-answered',
    path: '/chat',
    async act(page) {
      await ask(page, 'How do I make a cup of tea?');
      await page.getByText('Path and receipt').click();
      await page.getByText('Ask this from code').click();
    },
  },
  {
    name: 'chat-side-by-side',
    path: '/chat',
    async act(page) {
      await page.locator('#answers').selectOption('2');
      await ask(page, 'Tell me a short story.');
      await page.getByText('System prompt, sampling, API key').click();
      await page.getByText('Conversations in this browser').click();
    },
  },
  {
    name: 'chat-refused',
    path: '/chat',
    act: (page) => ask(page, 'word '.repeat(900)),
  },
  {
    name: 'network',
    path: '/network',
    async act(page) {
      const first = page.locator('recent-receipts details').first();
      await first.locator('summary').click();
      await first.getByRole('button').click();
      await first.getByText('It is in the log').waitFor();
    },
  },
  { name: 'home', path: '/' },
];

const network = await startNetwork();
let pictures = 0;

async function take(scene: Scene): Promise<void> {
  if (!new RegExp(values.only).test(scene.name)) return;
  for (const { name, width, height, colorScheme } of LOOKS) {
    const context = await network.browser.browser.newContext({ viewport: { width, height }, colorScheme });
    const page = await context.newPage();
    await scene.prepare?.(page);
    await page.goto(network.router.url + scene.path);
    await page.waitForLoadState('networkidle');
    await scene.act?.(page);
    await page.waitForTimeout(300); // What is drawn a frame later.
    await page.screenshot({ path: join(values.out, `${scene.name}-${name}.png`), fullPage: true });
    pictures++;
    await context.close();
  }
}

try {
  await mkdir(values.out, { recursive: true });
  for (const scene of BEFORE_TABS) await take(scene);
  await network.lend(2, { direct: false });
  for (const scene of SCENES) await take(scene);
} finally {
  await network.stop();
}
console.log(JSON.stringify({ name: 'screenshots', pictures, folder: values.out }));
