import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { unpackNpmBrowser } from './npm-browser.ts';

export interface FoundBrowser {
  readonly executable: string;
  readonly origin: 'environment' | 'installed' | 'npm';
  /** What the executable needs in its environment. */
  readonly env: Readonly<Record<string, string>>;
}

export class BrowserMissing extends Error {
  override readonly name = 'BrowserMissing';
}

const NAMES = [
  'google-chrome',
  'google-chrome-stable',
  'chromium',
  'chromium-browser',
  'microsoft-edge',
  'microsoft-edge-stable',
];

const MAC = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
];

const WINDOWS = [
  ['Google', 'Chrome', 'Application', 'chrome.exe'],
  ['Chromium', 'Application', 'chrome.exe'],
  ['Microsoft', 'Edge', 'Application', 'msedge.exe'],
];

/**
 * `SHOAL_BROWSER`, else an installed Chrome, Chromium or Edge, else on Linux x64 the one that an npm package carries. Throws
 * {@link BrowserMissing} with the command that installs one.
 */
export async function findBrowser(say: (line: string) => void): Promise<FoundBrowser> {
  const wanted = process.env.SHOAL_BROWSER;
  if (wanted !== undefined && wanted !== '') {
    if (!isExecutable(wanted))
      throw new BrowserMissing(`SHOAL_BROWSER names ${wanted}, which is no program that can be run.`);
    return { executable: wanted, origin: 'environment', env: {} };
  }
  const installed = candidates().find(isExecutable);
  if (installed !== undefined) return { executable: installed, origin: 'installed', env: {} };
  if (process.platform === 'linux' && process.arch === 'x64') {
    return { ...(await unpackNpmBrowser(say)), origin: 'npm' };
  }
  throw new BrowserMissing(`No Chrome, Chromium or Edge was found. Install one, for instance by: ${installCommand()}
or set SHOAL_BROWSER to the program's path.`);
}

/** Every kind of browser that is there, for measuring whether it matters which: the one that {@link findBrowser} takes, then the one from npm. */
export async function findEveryBrowser(say: (line: string) => void): Promise<readonly FoundBrowser[]> {
  const first = await findBrowser(say);
  if (first.origin === 'npm' || process.platform !== 'linux' || process.arch !== 'x64') return [first];
  return [first, { ...(await unpackNpmBrowser(say)), origin: 'npm' }];
}

function candidates(): string[] {
  if (process.platform === 'darwin') return MAC;
  if (process.platform === 'win32') {
    const roots = [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)'], process.env.LOCALAPPDATA];
    return roots.flatMap((root) => (root === undefined ? [] : WINDOWS.map((parts) => join(root, ...parts))));
  }
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function installCommand(): string {
  if (process.platform === 'darwin') return 'brew install --cask google-chrome';
  if (process.platform === 'win32') return 'winget install Google.Chrome';
  return 'sudo apt-get install chromium';
}
