import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { launchPlainBrowser, type PlainBrowser } from '../../scripts/browser/plain-browser.ts';
import { inPage, lendPlainly, openJoin } from '../../scripts/testing/plain-lending.ts';
import { type RunningNetwork, startNetwork } from '../../scripts/testing/running-network.ts';

/** What a browser does to a page, and what the router was told of it. */

let network: RunningNetwork;
beforeAll(async () => {
  network = await startNetwork();
});
afterEach(async () => {
  for (const context of network.browser.browser.contexts()) await context.close();
  await expect.poll(servingTabs, PATIENCE).toBe(0);
});
afterAll(() => network?.stop());

const PATIENCE = { timeout: 60_000 };

interface Listed {
  readonly data: readonly { readonly id: string; readonly shoal: { readonly tabs: number } }[];
}

async function servingTabs(): Promise<number> {
  const { data } = (await (await fetch(`${network.router.url}/v1/models`)).json()) as Listed;
  return data.find(({ id }) => id === 'shoal-pup-3m')?.shoal.tabs ?? 0;
}

async function watched(): Promise<Page> {
  const [page] = await network.lend(1, { direct: false });
  await expect.poll(servingTabs, PATIENCE).toBe(1);
  return page!;
}

const STORY = 'Tell me a long story about a robot and friendship.';

function ask(tokens = 30): Promise<Response> {
  return fetch(`${network.router.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'shoal-pup-3m', messages: [{ role: 'user', content: STORY }], max_tokens: tokens }),
  });
}

/** Another page in front: headless browsers hide none by themselves. */
async function hide(page: Page, isHidden: boolean): Promise<void> {
  await page.evaluate((hidden) => {
    Object.defineProperty(document, 'visibilityState', {
      get: () => (hidden ? 'hidden' : 'visible'),
      configurable: true,
    });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);
}

const lines = (page: Page) => page.locator('tab-log ol').textContent();

describe('a page that', () => {
  it('is hidden serves on, and its speed there is measured apart; where the owner wants, it takes no work', async () => {
    const page = await watched();
    expect((await ask()).status).toBe(200);
    await hide(page, true);
    expect((await ask()).status).toBe(200);
    await hide(page, false);
    await page.locator('#hidden-speed').waitFor(PATIENCE);
    await page.locator('#onlyInForeground').check();
    await hide(page, true);
    await expect.poll(servingTabs, PATIENCE).toBe(0);
    expect(await page.locator('#why-not').textContent()).toContain('in the background');
    await hide(page, false);
    await expect.poll(servingTabs, PATIENCE).toBe(1);
  });

  it('is offline says so on the page, takes no work, and serves again when it is back', async () => {
    const page = await watched();
    await page.context().setOffline(true);
    await page.getByText('Offline', { exact: true }).waitFor(PATIENCE);
    await page.context().setOffline(false);
    await expect.poll(servingTabs, PATIENCE).toBe(1);
    await expect.poll(async () => (await ask()).status, PATIENCE).toBe(200);
  });

  it('is one of two of a profile shows what the other does, and takes over when it is told to', async () => {
    const page = await watched();
    const second = await page.context().newPage();
    await second.goto(`${network.router.url}/join#whole-machine`);
    await second.getByText('This is what another tab of this browser does.').waitFor(PATIENCE);
    expect((await ask()).status).toBe(200);
    await expect.poll(() => second.locator('#answers').textContent(), PATIENCE).toBe('1');
    expect(await servingTabs()).toBe(1);
    await second.locator('#take-over').click();
    await second.locator('#finish').waitFor(PATIENCE);
    await page.getByText('This is what another tab of this browser does.').waitFor(PATIENCE);
    await expect.poll(servingTabs, PATIENCE).toBe(1);
    expect((await ask()).status).toBe(200);
    await second.close();
    await page.locator('#start').waitFor(PATIENCE);
    await expect.poll(servingTabs, PATIENCE).toBe(0);
  });

  it('is paused, and told to finish, does so: the router gives it no more', async () => {
    const page = await watched();
    await page.locator('#pause').click();
    await expect.poll(servingTabs, PATIENCE).toBe(0);
    expect(await page.locator('#why-not').textContent()).toContain('You paused it.');
    await page.locator('#pause').click();
    await expect.poll(servingTabs, PATIENCE).toBe(1);
    await page.locator('#test').click();
    await expect.poll(() => lines(page), PATIENCE).toContain('Tested itself with a known answer: right.');
    await expect.poll(servingTabs, PATIENCE).toBe(1);
    const asked = ask();
    await page
      .getByText('Writing an answer')
      .waitFor(PATIENCE)
      .catch(() => undefined); // Over before it was seen, on a fast machine.
    await page.locator('#finish').click();
    expect((await asked).status).toBe(200);
    await page.getByText('Stopped', { exact: true }).waitFor(PATIENCE);
    await expect.poll(servingTabs, PATIENCE).toBe(0);
  });
});

/** In a browser that keeps no page awake: nothing here is made up. */
describe('a page of a browser that', () => {
  let browser: PlainBrowser;
  beforeAll(async () => {
    browser = await launchPlainBrowser(network.browser.found);
    await browser.grant('idleDetection', network.router.url);
  });
  afterAll(() => browser?.close());

  it('[O3] freezes it in the middle of an answer has said goodbye, and comes back when it is thawed', async () => {
    const lending = await openJoin(browser, network.router.url);
    await lendPlainly(lending, 'shoal-pup-3m:q8_0');
    expect(lending.told()).toEqual(['hello 1']);
    const asked = ask(500);
    await lending.page.until(inPage(`deep('#state').textContent === 'Writing an answer'`), 'it works');
    await lending.page.send('Page.setWebLifecycleState', { state: 'frozen' });
    expect(await (await asked).json()).toMatchObject({ error: { code: 'tab_lost' } });
    expect(await servingTabs()).toBe(0);
    expect(lending.told()).toEqual(['ready 0', 'bye']);
    await lending.page.send('Page.setWebLifecycleState', { state: 'active' });
    await expect.poll(servingTabs, PATIENCE).toBe(1);
    expect(lending.told()).toEqual(['hello 1']);
    expect((await ask()).status).toBe(200);
    await lending.page.close();
    await expect.poll(servingTabs, PATIENCE).toBe(0);
  });

  it('says that the processor is under pressure, or the device in use, gives it no work', async () => {
    const source = { enabled: true, source: 'cpu', metadata: { available: true } };
    const lending = await openJoin(browser, network.router.url, '', async (empty) => {
      await empty.toFront();
      await empty.send('Emulation.setFocusEmulationEnabled', { enabled: true });
      await empty.send('Emulation.setPressureSourceOverrideEnabled', source);
    });
    const { page } = lending;
    await lendPlainly(lending, 'shoal-pup-3m:q8_0');
    await page.send('Emulation.setPressureStateOverride', { source: 'cpu', state: 'critical' });
    await expect.poll(servingTabs, PATIENCE).toBe(0);
    expect(await lending.text('#why-not')).toContain('The processor is busy with other things');
    await page.evaluate(`window.dispatchEvent(new Event('blur'))`); // From here on the browser says no more of it.
    await expect.poll(servingTabs, PATIENCE).toBe(1);
    await page.send('Emulation.setIdleOverride', { isUserActive: true, isScreenUnlocked: true });
    await lending.click('#onlyWhenIdle');
    await expect.poll(servingTabs, PATIENCE).toBe(0);
    await page.send('Emulation.setIdleOverride', { isUserActive: false, isScreenUnlocked: true });
    await expect.poll(servingTabs, PATIENCE).toBe(1);
    expect(lending.told()).toEqual(['hello 1', 'ready 0', 'ready 1', 'ready 0', 'ready 1']);
    await page.close();
    await expect.poll(servingTabs, PATIENCE).toBe(0);
  });
});
