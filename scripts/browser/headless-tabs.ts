import { setTimeout as wait } from 'node:timers/promises';
import type { BrowserContext, Page } from 'playwright-core';
import { CommandError } from '../command-line.ts';
import { type LaunchedBrowser, launchBrowser } from './launch-browser.ts';
import { type LendOptions, lendIn } from './lend-tabs.ts';

/** `/join` in a headless browser on a server: each tab a profile of its own, started again when it ends, until it is told to stop. */

export interface HeadlessOptions extends LendOptions {
  readonly count: number;
  /** What a tab is called in the log: `tab`, `guard`. */
  readonly called: string;
}

export const MAX_HEADLESS_TABS = 16;

/** How often the tabs say what they did, ms, when it changed. */
const TELL_EVERY_MS = 10_000;
/** A tab that ended comes back after this time, and twice as long each time that it did not last, ms. */
const FIRST_REST_MS = 2_000;
const LONGEST_REST_MS = 5 * 60_000;
/** A tab that served so long ended by a chance, ms. */
const LASTED_MS = 60_000;
/** An answer and its checks are over within this time, ms; the page bounds it too. */
const FINISH_DEADLINE_MS = 140_000;

/** `--count` and its like. Throws {@link CommandError}. */
export function tabCount(text: string, option: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= MAX_HEADLESS_TABS) return count;
  throw new CommandError(`${option} must be a number from 1 to ${MAX_HEADLESS_TABS}.`);
}

/**
 * Lends until a signal: the first one lets the tabs finish what they do and stop, the second ends them. Resolves when the browser is closed. Throws
 * {@link CommandError} when no router answers, or no tab ever came to serve.
 */
export async function runHeadless(options: HeadlessOptions): Promise<void> {
  const leave = new AbortController();
  const now = new AbortController();
  const onSignal = () => (leave.signal.aborted ? now.abort() : leave.abort());
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);

  const reached = await fetch(`${options.url}/healthz`, { signal: AbortSignal.timeout(10_000) }).catch(() => null);
  if (reached?.ok !== true) throw new CommandError(`No router answers at ${options.url}. Start one with npm start.`);
  const browser = await launchBrowser((line) => console.log(line));
  try {
    const tabs = Array.from({ length: options.count }, (_, index) => new HeadlessTab(browser, options, index + 1));
    await untilAborted(leave.signal, Promise.all(tabs.map((tab) => tab.open())));
    if (leave.signal.aborted) return;
    const { count, called, url } = options;
    const checks = options.checkOnly === true ? 'checks' : 'lends';
    const check = options.checkOnly === true ? 'check' : 'lend';
    console.log(
      `${count === 1 ? `One ${called} ${checks}` : `${count} ${called}s ${check}`} for ${url}. Stop with Ctrl-C.`,
    );
    await Promise.all([...tabs.map((tab) => tab.keep(leave.signal)), tellFigures(tabs, leave.signal)]);
    console.log('Finishing what runs. Once more Ctrl-C ends it at once.');
    await untilAborted(now.signal, Promise.all(tabs.map((tab) => tab.finish())));
  } finally {
    await browser.close().catch(() => undefined);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, onSignal);
  }
}

class HeadlessTab {
  readonly #browser: LaunchedBrowser;
  readonly #options: HeadlessOptions;
  readonly #name: string;
  #profile: BrowserContext | null = null;
  #isPaired = false;
  #page: Page | null = null;
  #openedAt = 0;

  constructor(browser: LaunchedBrowser, options: HeadlessOptions, number: number) {
    this.#browser = browser;
    this.#options = options;
    this.#name = options.count === 1 ? `The ${options.called}` : `${options.called} ${number}`;
  }

  /** In the profile that it had before: whoever starts again is the same tab, and still its owner's. Throws {@link CommandError} with what the page says. */
  async open(): Promise<void> {
    try {
      this.#profile ??= await this.#browser.profile();
      const { pair, ...options } = this.#options;
      this.#page = await lendIn(this.#profile, pair === undefined || this.#isPaired ? options : { ...options, pair });
      this.#isPaired = true;
      this.#openedAt = Date.now();
    } catch (cause) {
      throw new CommandError(`${this.#name} did not come to serve: ${cause instanceof Error ? cause.message : cause}`);
    }
  }

  /** Opens the tab again whenever it ended, until it shall leave. Throws {@link CommandError} when the browser is gone. */
  async keep(leave: AbortSignal): Promise<void> {
    let restMs = FIRST_REST_MS;
    while (!leave.aborted) {
      const why = await this.#ended(leave);
      if (leave.aborted) return;
      if (!this.#browser.browser.isConnected()) throw new CommandError('The browser ended. Start again.');
      if (Date.now() - this.#openedAt > LASTED_MS) restMs = FIRST_REST_MS;
      console.log(`${this.#name} ended: ${why} It starts again in ${restMs / 1000} s.`);
      await this.#page?.close().catch(() => undefined);
      this.#page = null;
      await wait(restMs, undefined, { signal: leave }).catch(() => undefined);
      restMs = Math.min(restMs * 2, LONGEST_REST_MS);
      if (!leave.aborted) await this.open().catch((cause: Error) => console.log(cause.message));
    }
  }

  async figures(): Promise<{ readonly answers: number; readonly checks: number }> {
    const read = async (id: string) => Number((await this.#page?.locator(id).textContent({ timeout: 5_000 })) ?? 0);
    return { answers: await read('#answers'), checks: await read('#checks') };
  }

  /** Lets it finish what it does. */
  async finish(): Promise<void> {
    const page = this.#page;
    if (page === null) return;
    await page
      .locator('#finish')
      .click({ timeout: 5_000 })
      .catch(() => undefined);
    await page
      .locator('#start, #take-over')
      .first()
      .waitFor({ timeout: FINISH_DEADLINE_MS })
      .catch(() => console.log(`${this.#name} did not finish in time.`));
  }

  /** Why the page does not serve any more, in its own words. */
  async #ended(leave: AbortSignal): Promise<string> {
    const page = this.#page;
    if (page === null) return 'it did not come to serve.';
    const over = page.locator('#start, #take-over').first().waitFor({ timeout: 0 });
    const crashed = new Promise<void>((resolve) => page.once('crash', () => resolve()).once('close', () => resolve()));
    await untilAborted(
      leave,
      Promise.race([over, crashed]).catch(() => undefined),
    );
    const alert = page.locator('[role="alert"]').first();
    return (await alert.textContent({ timeout: 500 }).catch(() => null)) ?? 'the page is gone.';
  }
}

async function tellFigures(tabs: readonly HeadlessTab[], leave: AbortSignal): Promise<void> {
  let told = '';
  while (!leave.aborted) {
    await wait(TELL_EVERY_MS, undefined, { signal: leave }).catch(() => undefined);
    const each = await Promise.all(tabs.map((tab) => tab.figures().catch(() => ({ answers: 0, checks: 0 }))));
    const sum = (name: 'answers' | 'checks') => each.reduce((total, figures) => total + figures[name], 0);
    const line = `${sum('answers')} answers given, ${sum('checks')} checks made.`;
    if (line !== told && line !== '0 answers given, 0 checks made.') console.log(line);
    told = line;
  }
}

/** Waits for the work, or for the signal: whichever comes first. */
async function untilAborted(signal: AbortSignal, work: Promise<unknown>): Promise<void> {
  if (signal.aborted) return;
  const stopped = Promise.withResolvers<void>();
  const stop = () => stopped.resolve();
  signal.addEventListener('abort', stop);
  work.catch(() => undefined);
  await Promise.race([work, stopped.promise]).finally(() => signal.removeEventListener('abort', stop));
}
