import './require-node.ts';
import { setTimeout as wait } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { guardPass } from '../router-worker/keys/router-keys.ts';
import { type LaunchedBrowser, launchBrowser } from './browser/launch-browser.ts';
import { lendTabs } from './browser/lend-tabs.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { operatorKeys } from './router/operator-secret.ts';

/** Headless tabs of the operator that only check: others cannot agree on a lie as long as one of these may be drawn. */

const USAGE = `npm run guard [-- --router URL --tabs N --model NAME:VARIANT]

  --router   the router to check for (http://localhost:8787)
  --tabs     guards to start, each a browser profile of its own (1)
  --model    what they check (shoal-pup-3m:q8_0)

The router's secret is read from SHOAL_ROUTER_SECRET, or from .dev.vars of npm start.`;

const { values } = readArguments(USAGE, {
  router: { type: 'string', default: 'http://localhost:8787' },
  tabs: { type: 'string', default: '1' },
  model: { type: 'string', default: 'shoal-pup-3m:q8_0' },
});

const MAX_GUARDS = 16;
/** How often the guards say what they did, ms, when it changed. */
const TELL_EVERY_MS = 10_000;

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());

async function checksMade(pages: readonly Page[]): Promise<number> {
  const counts = await Promise.all(pages.map((page) => page.locator('#checks').textContent({ timeout: 5_000 })));
  return counts.reduce((sum, count) => sum + Number(count), 0);
}

/** Says what changed until it is stopped, or a guard is gone. */
async function watch(browser: LaunchedBrowser, pages: readonly Page[]): Promise<void> {
  let told = 0;
  while (!stop.signal.aborted) {
    await wait(TELL_EVERY_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    if (stop.signal.aborted) return;
    if (!browser.browser.isConnected()) throw new CommandError('The browser of the guards ended. Start them again.');
    const made = await checksMade(pages).catch(() => null);
    if (made === null) throw new CommandError('A guard does not serve any more: its page says why. Start them again.');
    if (made !== told) console.log(`${made} checks made.`);
    told = made;
  }
}

await runCommand(async () => {
  const count = Number(values.tabs);
  if (!Number.isInteger(count) || count < 1 || count > MAX_GUARDS) {
    throw new CommandError(`--tabs must be a number from 1 to ${MAX_GUARDS}.`);
  }
  const url = values.router.replace(/\/+$/, '');
  const guard = await guardPass(await operatorKeys());
  const reached = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(10_000) }).catch(() => null);
  if (reached?.ok !== true) throw new CommandError(`No router answers at ${url}. Start one with npm start.`);
  const browser = await launchBrowser((line) => console.log(line));
  try {
    const lending = lendTabs(browser, { url, count, model: values.model, direct: false, checkOnly: true, guard });
    const stopped = new Promise<null>((resolve) => stop.signal.addEventListener('abort', () => resolve(null)));
    const pages = await Promise.race([lending, stopped]);
    lending.catch(() => undefined);
    if (pages === null) return;
    console.log(`${count === 1 ? 'One guard checks' : `${count} guards check`} for ${url}. Stop with Ctrl-C.`);
    await watch(browser, pages);
  } catch (cause) {
    if (cause instanceof CommandError) throw cause;
    throw new CommandError(`The guards did not come to serve: ${cause instanceof Error ? cause.message : cause}`);
  } finally {
    await browser.close().catch(() => undefined);
  }
});
process.exit();
