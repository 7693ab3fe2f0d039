import type { BrowserContext, Page } from 'playwright-core';
import type { JoinPage } from '../../web-miner/ui/join-page.ts';
import type { LaunchedBrowser } from './launch-browser.ts';

const SERVING_DEADLINE_MS = 120_000;

export interface LendOptions {
  readonly url: string;
  /** With its variant, or `best`: what the device is good for. */
  readonly model: string;
  readonly direct: boolean;
  readonly checkOnly?: boolean;
  /** Whoever starts it has read the terms of the model. */
  readonly acceptsTerms?: boolean;
  /** The operator's pass for its guards. */
  readonly guard?: string;
  /** A code of an account that the tabs are to work for. */
  readonly pair?: string;
  /** The faster arithmetic, in which nobody can run an answer again to the byte. */
  readonly flashAttention?: boolean;
}

/** Opens `/join` in profiles of their own, presses the button, and waits until each serves. Throws with what the page says. */
export function lendTabs(browser: LaunchedBrowser, options: LendOptions & { readonly count: number }): Promise<Page[]> {
  return Promise.all(Array.from({ length: options.count }, () => lendTab(browser, options)));
}

/** One tab in a profile of its own. Throws with what the page says; the profile is closed then. */
export async function lendTab(browser: LaunchedBrowser, options: LendOptions): Promise<Page> {
  const profile = await browser.profile();
  try {
    return await lendIn(profile, options);
  } catch (cause) {
    await profile.close().catch(() => undefined);
    throw cause;
  }
}

/** One more tab of a profile: the same keys, and what it has of models. Throws with what the page says; the page is closed then. */
export async function lendIn(profile: BrowserContext, options: LendOptions): Promise<Page> {
  const page = await profile.newPage();
  try {
    await page.goto(`${options.url}/join#${askedOf(options)}`);
    const select = page.locator('#model');
    await select.locator('option:nth-child(2)').waitFor({ state: 'attached' }); // The list of the router is there.
    if ((await select.locator(`option[value="${options.model}"]`).count()) === 0) {
      throw new Error(`The router has no model '${options.model}'.`);
    }
    await page.locator(options.checkOnly === true ? '#role-check' : '#role-answer').check(); // Before the model: one that embeds is a role of its own.
    if (options.pair !== undefined) await pairTab(page);
    await select.selectOption(options.model);
    await acceptTerms(page, options.acceptsTerms ?? false);
    await page.locator('#direct').setChecked(options.direct);
    await page.locator('#start').click();
    const serving = page.locator('#answers').waitFor({ timeout: SERVING_DEADLINE_MS });
    const failed = page.locator('[role="alert"]').waitFor({ timeout: SERVING_DEADLINE_MS });
    failed.catch(() => undefined);
    serving.catch(() => undefined);
    await Promise.race([serving, failed]);
    if (!(await page.locator('#answers').isVisible())) {
      throw new Error(`A tab did not come to serve: ${await page.locator('[role="alert"]').first().textContent()}`);
    }
    return page;
  } catch (cause) {
    await page.close().catch(() => undefined);
    throw cause;
  }
}

/** Whoever starts it gave the code, so the page's question is answered for them. */
async function pairTab(page: Page): Promise<void> {
  const [question, trouble] = [page.locator('#pair-yes'), page.locator('#pair-trouble')];
  await question.or(trouble).waitFor();
  if (await question.isVisible()) await question.click();
  await page.locator('#owner').or(trouble).waitFor();
  if (await trouble.isVisible()) throw new Error(`The tab was not paired: ${await trouble.textContent()}`);
}

async function acceptTerms(page: Page, accepts: boolean): Promise<void> {
  const terms = page.locator('#terms');
  if ((await terms.count()) === 0) return;
  if (!accepts) throw new Error('The terms of this model are to be read first: see /join. Then add --accept-terms.');
  await terms.check();
}

/** What the page is told behind the `#`, which no server sees. */
function askedOf({ guard, flashAttention, pair }: LendOptions): string {
  const asked = new URLSearchParams({ 'whole-machine': '' });
  if (guard !== undefined) asked.set('guard', guard);
  if (flashAttention === true) asked.set('flash-attention', '');
  if (pair !== undefined) asked.set('pair', pair);
  return asked.toString();
}

/** Bytes that the tabs sent over direct links, by the browser's own count. */
export async function linkBytesOf(pages: readonly Page[]): Promise<number> {
  const each = await Promise.all(
    pages.map((page) =>
      page.evaluate(async () => (await document.querySelector<JoinPage>('join-page')?.linkTraffic())?.sentBytes ?? 0),
    ),
  );
  return each.reduce((sum, bytes) => sum + bytes, 0);
}
