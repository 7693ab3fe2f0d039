import axe, { type AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import type { RunningNetwork } from '../../scripts/testing/running-network.ts';

/** The looks that every page is tested in. */
export const LOOKS = [
  { colorScheme: 'light', width: 1280, height: 800 },
  { colorScheme: 'dark', width: 1280, height: 800 },
  { colorScheme: 'light', width: 360, height: 740 },
  { colorScheme: 'dark', width: 360, height: 740 },
] as const;
export type Look = (typeof LOOKS)[number];

/** A page that fails the test when the browser reports anything on its console: errors, or what its security policy blocked. */
export async function openPage(
  network: RunningNetwork,
  path: string,
  look: Look = LOOKS[0],
  prepare: (page: Page) => Promise<void> = async () => undefined,
): Promise<{ page: Page; complaints: string[] }> {
  const context = await network.browser.browser.newContext({
    colorScheme: look.colorScheme,
    viewport: { width: look.width, height: look.height },
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    // Chromium's own word where there is no graphics processor to be asked for.
    const isOwn = message.text() === 'No available adapters.';
    if (['error', 'warning'].includes(message.type()) && !isOwn) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await prepare(page);
  await page.goto(network.router.url + path);
  return { page, complaints };
}

export async function expectAccessible(page: Page): Promise<void> {
  await page.evaluate(axe.source);
  const results = await page.evaluate(() => (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run());
  const found = results.violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`,
  );
  expect(found).toEqual([]);
}

export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(overflow).toBeLessThanOrEqual(0);
}

/** What has the focus, however deep in shadow roots: by `id tag words`. */
export async function focused(page: Page): Promise<{ id: string; tag: string; words: string }> {
  return page.evaluate(() => {
    let inner = document.activeElement;
    while (inner?.shadowRoot?.activeElement != null) inner = inner.shadowRoot.activeElement;
    return { id: inner?.id ?? '', tag: inner?.tagName ?? '', words: inner?.textContent?.trim() ?? '' };
  });
}

/** Presses Tab until this has the focus: an id, or the words of a button or link. */
export async function tabTo(page: Page, wanted: string | RegExp, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<void> {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press(key);
    const { id, words } = await focused(page);
    if (typeof wanted === 'string' ? id === wanted : wanted.test(words)) return;
  }
  throw new Error(`${wanted} cannot be reached by ${key}`);
}
