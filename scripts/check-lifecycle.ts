import './require-node.ts';
import { findBrowser } from './browser/find-browser.ts';
import { launchPlainBrowser, type PlainBrowser } from './browser/plain-browser.ts';
import { readArguments, runCommand } from './command-line.ts';
import { inPage, lendPlainly, openJoin, type PlainLending } from './testing/plain-lending.ts';
import { type RunningNetwork, startNetwork } from './testing/running-network.ts';

/**
 * What the router is told when a browser hides a page, freezes it, takes it offline, or says that the device is busy or used: by the messages of the tab's socket, the tabs
 * that the router counts, and a request to it, not by the word of the page. The browser does it for real; only that a page loses and gets the focus is an event that the command sends: a
 * headless browser has no window to lose it to.
 */

const USAGE = `npm run check:lifecycle [-- --browser FILE --energy-saver-minutes N]

  --browser               a Chromium or Chrome (SHOAL_BROWSER, else the installed one, else npm's headless shell, which hides no page behind another)
  --energy-saver-minutes  how long a hidden page is watched with Energy Saver switched on (0: not at all)`;

const { values } = readArguments(USAGE, {
  browser: { type: 'string' },
  'energy-saver-minutes': { type: 'string', default: '0' },
});
if (values.browser !== undefined) process.env.SHOAL_BROWSER = values.browser;
const ENERGY_SAVER_MS = Number(values['energy-saver-minutes']) * 60_000;

const MODEL = 'shoal-pup-3m:q8_0';
const PATIENCE_MS = 30_000;
/** Another message would have come by then, ms. */
const SETTLE_MS = 700;
/** `performance_tuning.battery_saver_mode.state`: on, whatever the battery. */
const ENERGY_SAVER_ON = { performance_tuning: { battery_saver_mode: { state: 3 } } };

interface Seen {
  readonly case: string;
  /** What the tab said on its socket. */
  readonly told: readonly string[];
  readonly tabs: number;
  /** Until the router counted so many, ms. */
  readonly afterMs: number;
  /** What a request got then: `200`, or the error's code. */
  readonly asked: string;
  /** Whether the router counted and answered as it should; null where this browser does not do it. */
  readonly held: boolean | null;
  readonly note: string;
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function servingTabs({ router }: RunningNetwork): Promise<number> {
  const { data } = (await (await fetch(`${router.url}/v1/models`)).json()) as {
    readonly data: readonly { readonly id: string; readonly shoal: { readonly tabs: number } }[];
  };
  return data.find(({ id }) => MODEL.startsWith(id))?.shoal.tabs ?? 0;
}

async function ask({ router }: RunningNetwork, tokens = 8): Promise<string> {
  const response = await fetch(`${router.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: MODEL,
      messages: [{ role: 'user', content: 'Tell me a long story about a robot and friendship.' }],
      max_tokens: tokens,
      shoal: { level: 'none' },
    }),
  });
  const body = (await response.json()) as { readonly error?: { readonly code: string } };
  return body.error?.code ?? String(response.status);
}

class Watch {
  readonly #network: RunningNetwork;
  readonly seen: Seen[] = [];

  constructor(network: RunningNetwork) {
    this.#network = network;
  }

  /** Waits until the router counts as many tabs, and notes what it was told meanwhile. */
  async see(
    lending: PlainLending,
    name: string,
    tabs: number,
    note: () => string | Promise<string> = () => '',
  ): Promise<void> {
    const since = performance.now();
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end && (await servingTabs(this.#network)) !== tabs; )
      await wait(100);
    const afterMs = Math.round(performance.now() - since);
    await wait(SETTLE_MS);
    const counted = await servingTabs(this.#network);
    const told = lending.told();
    const asked = await ask(this.#network);
    lending.told(); // Of the request.
    const held = counted === tabs && asked === (tabs > 0 ? '200' : 'no_tab');
    this.#note({ case: name, told, tabs: counted, afterMs, asked, held, note: await note() });
  }

  skip(name: string, note: string): void {
    this.#note({ case: name, told: [], tabs: 0, afterMs: 0, asked: '', held: null, note });
  }

  #note(seen: Seen): void {
    this.seen.push(seen);
    const verdict = seen.held === null ? 'left out' : seen.held ? 'held' : 'NOT HELD';
    const told = seen.told.length === 0 ? 'nothing' : seen.told.join(', ');
    const what =
      seen.held === null
        ? ''
        : ` told: ${told}; tabs: ${seen.tabs} after ${seen.afterMs} ms; a request: ${seen.asked}.`;
    console.log(`${seen.case.padEnd(42)} ${verdict}.${what}${seen.note === '' ? '' : ` ${seen.note}`}`);
  }
}

const offline = (isOffline: boolean) => ({
  offline: isOffline,
  latency: 0,
  downloadThroughput: -1,
  uploadThroughput: -1,
});

async function watchPage(network: RunningNetwork, browser: PlainBrowser, watch: Watch): Promise<void> {
  const { url } = network.router;
  const lending = await openJoin(browser, url);
  const { page } = lending;
  await lendPlainly(lending, MODEL);
  await watch.see(lending, 'serves', 1);

  const other = await browser.open('about:blank');
  await other.toFront();
  await wait(SETTLE_MS);
  const hides = (await page.evaluate('document.visibilityState')) === 'hidden';
  if (hides) {
    await watch.see(lending, 'hidden behind another tab', 1);
    await lending.click('#onlyInForeground');
    await watch.see(lending, 'hidden, foreground only', 0);
    await page.toFront();
    await watch.see(lending, 'in front again', 1);
    await lending.click('#onlyInForeground');
  } else watch.skip('hidden behind another tab', 'This browser hides none.');

  await page.send('Page.setWebLifecycleState', { state: 'frozen' });
  await watch.see(lending, 'frozen', 0);
  await page.send('Page.setWebLifecycleState', { state: 'active' });
  await page.toFront();
  await watch.see(lending, 'thawed', 1);

  const running = ask(network, 400);
  await page.until(`document.visibilityState !== 'no'`, 'the page answers');
  await wait(SETTLE_MS);
  const frozenAt = performance.now();
  await page.send('Page.setWebLifecycleState', { state: 'frozen' });
  const outcome = await running;
  const after = Math.round(performance.now() - frozenAt);
  await watch.see(
    lending,
    'frozen in the middle of an answer',
    0,
    () => `Its client was told ${outcome} after ${after} ms.`,
  );
  await page.send('Page.setWebLifecycleState', { state: 'active' });
  await page.toFront();
  await watch.see(lending, 'thawed', 1);

  await page.send('Network.enable');
  await page.send('Network.emulateNetworkConditions', offline(true));
  // What the tab says then goes nowhere: the router has to find out by itself.
  const missed = await ask(network);
  await watch.see(lending, 'offline, after a request was lost', 0, () => `That request was told ${missed}.`);
  await page.send('Network.emulateNetworkConditions', offline(false));
  await watch.see(lending, 'online again', 1);

  const second = await openJoin(browser, url);
  await second.page.until(`true`, 'it is open');
  await wait(SETTLE_MS);
  await watch.see(
    lending,
    'a second tab of the profile is open',
    1,
    async () => `It says: ${await second.text('#state')}.`,
  );
  await second.click('#take-over');
  await second.page.until(inPage(`deep('#finish') !== null`), 'the second tab serves');
  await watch.see(second, 'the second tab took over', 1, () => `The first told: ${lending.told().join(', ')}.`);
  await second.page.close();
  await page.toFront();
  await watch.see(lending, 'the second tab was closed', 0);
}

/** The rules of comfort, which a tab on a server begins without. */
async function watchDevice(browser: PlainBrowser, url: string, watch: Watch): Promise<void> {
  await browser.grant('idleDetection', url);
  const lending = await openJoin(browser, url, '', async (empty) => {
    await empty.toFront();
    // Browsers tell of pressure only to a page that has the focus.
    await empty.send('Emulation.setFocusEmulationEnabled', { enabled: true });
    const cpu = { enabled: true, source: 'cpu', metadata: { available: true } };
    await empty.send('Emulation.setPressureSourceOverrideEnabled', cpu);
  });
  const { page } = lending;
  const state = (name: string) => page.send('Emulation.setPressureStateOverride', { source: 'cpu', state: name });
  await lendPlainly(lending, MODEL);
  await state('nominal');
  await watch.see(lending, 'processor at ease', 1);
  await state('critical');
  await watch.see(lending, 'processor under critical pressure', 0, () => lending.text('#why-not'));
  await state('nominal');
  await watch.see(lending, 'processor at ease again', 1);
  await state('critical');
  await watch.see(lending, 'under critical pressure again', 0);
  await page.send('Emulation.setFocusEmulationEnabled', { enabled: false });
  await page.evaluate(`window.dispatchEvent(new Event('blur'))`);
  await watch.see(lending, 'without the focus: nobody says any more', 1);
  await page.send('Emulation.setFocusEmulationEnabled', { enabled: true });
  await page.evaluate(`window.dispatchEvent(new Event('focus'))`);
  await watch.see(lending, 'with the focus, still under pressure', 0);
  await state('nominal');
  await watch.see(lending, 'at ease', 1);

  await page.send('Emulation.setIdleOverride', { isUserActive: true, isScreenUnlocked: true });
  await lending.click('#onlyWhenIdle');
  await watch.see(lending, 'somebody uses the device, only when idle', 0, () => lending.text('#why-not'));
  await page.send('Emulation.setIdleOverride', { isUserActive: false, isScreenUnlocked: true });
  await watch.see(lending, 'nobody uses the device', 1);
  await page.send('Emulation.setIdleOverride', { isUserActive: true, isScreenUnlocked: true });
  await watch.see(lending, 'somebody is back', 0);
  await page.close();
}

/** With the browser's Energy Saver on, a page that lends in the background. */
async function watchEnergySaver(network: RunningNetwork, browser: PlainBrowser, watch: Watch): Promise<void> {
  const lending = await openJoin(browser, network.router.url);
  await lendPlainly(lending, MODEL);
  await watch.see(lending, 'Energy Saver: serves', 1);
  const other = await browser.open('about:blank');
  await other.toFront();
  const end = Date.now() + ENERGY_SAVER_MS;
  let answers = 0;
  while (Date.now() < end) if ((await ask(network, 200)) === '200') answers++;
  await watch.see(
    lending,
    'Energy Saver: hidden',
    1,
    () => `${answers} answers in ${ENERGY_SAVER_MS / 60_000} minutes.`,
  );
}

await runCommand(async () => {
  const network = await startNetwork();
  const watch = new Watch(network);
  let product = '';
  /** A profile that nobody used before. */
  const inBrowser = async (act: (browser: PlainBrowser) => Promise<void>, localState?: object) => {
    const found = await findBrowser((line) => console.log(line));
    const browser = await launchPlainBrowser(found, localState === undefined ? {} : { localState });
    product = browser.product;
    await act(browser).finally(() => browser.close());
  };
  try {
    await inBrowser((browser) => watchPage(network, browser, watch));
    await inBrowser((browser) => watchDevice(browser, network.router.url, watch));
    if (ENERGY_SAVER_MS > 0) await inBrowser((browser) => watchEnergySaver(network, browser, watch), ENERGY_SAVER_ON);
  } finally {
    await network.stop();
  }
  const held = watch.seen.every((seen) => seen.held !== false);
  const cases = Object.fromEntries(watch.seen.map((seen) => [seen.case, seen.held === null ? null : seen.told]));
  console.log(JSON.stringify({ name: 'check-lifecycle', product, held, cases }));
  process.exitCode = held ? 0 : 1;
});
