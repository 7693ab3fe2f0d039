import { type Browser, type BrowserContext, chromium } from 'playwright-core';
import { type FoundBrowser, findBrowser } from './find-browser.ts';

/** Plain flags for an automated Chromium that keeps to this machine. The sandbox needs rights that containers often lack. */
const FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
  '--disable-background-timer-throttling',
  '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows',
];

export interface LaunchedBrowser {
  readonly browser: Browser;
  readonly found: FoundBrowser;
  /** A browser profile of its own: own keys, own storage. */
  profile(): Promise<BrowserContext>;
  close(): Promise<void>;
}

export async function launchBrowser(
  say: (line: string) => void,
  moreFlags: readonly string[] = [],
  chosen: FoundBrowser | null = null,
): Promise<LaunchedBrowser> {
  const found = chosen ?? (await findBrowser(say));
  const browser = await chromium.launch({
    executablePath: found.executable,
    headless: true,
    args: [...FLAGS, ...moreFlags],
    env: { ...definedEnv(), ...found.env },
    // The caller handles signals: it has a router to stop as well.
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
  });
  return { browser, found, profile: () => browser.newContext(), close: () => browser.close() };
}

function definedEnv(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
