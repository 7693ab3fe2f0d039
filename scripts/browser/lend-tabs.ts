import type { Page } from 'playwright-core';
import type { JoinPage } from '../../web-miner/ui/join-page.ts';
import type { LaunchedBrowser } from './launch-browser.ts';

const SERVING_DEADLINE_MS = 120_000;

/** Opens `/join` in profiles of their own, presses the button, and waits until each serves. Throws with what the page says. */
export async function lendTabs(
  browser: LaunchedBrowser,
  options: {
    readonly url: string;
    readonly count: number;
    /** With its variant. */
    readonly model: string;
    readonly direct: boolean;
    readonly checkOnly?: boolean;
    /** The operator's pass for its guards. */
    readonly guard?: string;
    /** The faster arithmetic, in which nobody can run an answer again to the byte. */
    readonly flashAttention?: boolean;
  },
): Promise<Page[]> {
  return Promise.all(
    Array.from({ length: options.count }, async () => {
      const profile = await browser.profile();
      const page = await profile.newPage();
      await page.goto(`${options.url}/join#${askedOf(options)}`);
      const select = page.locator('#model');
      await select.locator(`option[value="${options.model}"]`).waitFor({ state: 'attached' });
      await select.selectOption(options.model);
      await page.locator('#direct').setChecked(options.direct);
      await page.locator('#check-only').setChecked(options.checkOnly ?? false);
      await page.locator('#start').click();
      const serving = page.locator('#answers').waitFor({ timeout: SERVING_DEADLINE_MS });
      const failed = page.locator('[role="alert"]').waitFor({ timeout: SERVING_DEADLINE_MS });
      failed.catch(() => undefined);
      await Promise.race([serving, failed]);
      if (!(await page.locator('#answers').isVisible())) {
        throw new Error(`A tab did not come to serve: ${await page.locator('[role="alert"]').first().textContent()}`);
      }
      return page;
    }),
  );
}

/** What the page is told behind the `#`, which no server sees. */
function askedOf({ guard, flashAttention }: { readonly guard?: string; readonly flashAttention?: boolean }): string {
  const asked = new URLSearchParams();
  if (guard !== undefined) asked.set('guard', guard);
  if (flashAttention === true) asked.set('flash-attention', '');
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
