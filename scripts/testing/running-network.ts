import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { parseEnv } from 'node:util';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { guardPass, operatorPass, routerKeys } from '../../router-worker/keys/router-keys.ts';
import type { Catalogue } from '../../shared/classes/catalogue.ts';
import type {} from '../../web-miner/testing/exam.ts'; // Declares what the exam page puts on its window.
import { type LaunchedBrowser, launchBrowser } from '../browser/launch-browser.ts';
import { lendTabs } from '../browser/lend-tabs.ts';
import { buildAll } from '../build.ts';
import { CACHE, ROOT } from '../paths.ts';
import { freshSecret } from '../router/dev-secret.ts';
import { freePort } from '../router/free-port.ts';
import { type RunningRouter, startRouter } from '../router/router-process.ts';
import { admitMirrors, securityHeaders } from '../security-headers.ts';

/** `wrangler dev` and a real browser, for end-to-end tests. */
export interface RunningNetwork {
  readonly router: RunningRouter;
  readonly browser: LaunchedBrowser;
  readonly routerKey: string;
  readonly stateFolder: string;
  /** The operator's pass for its guards. */
  readonly guard: string;
  /** What the operator shows to give out keys and credits. */
  readonly operator: string;
  /** Every line that the router printed. */
  readonly log: readonly string[];
  lend(
    count: number,
    options?: {
      readonly direct?: boolean;
      readonly model?: string;
      readonly checkOnly?: boolean;
      readonly flashAttention?: boolean;
    },
  ): Promise<Page[]>;
  /** The page for tests only, on the router's own origin and under its own security policy. */
  examPage(): Promise<Page>;
  stop(): Promise<void>;
}

/** Networks that are started at the same moment, by several runs on one machine, would find the same free port: each begins elsewhere. */
const PORTS = 1_900;

const EXAM_PATH = '/__exam/';
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
  '.css': 'text/css',
};

/** The exam page is handed in by the test, so the browser takes it for a page of another network. */
export const EXAM_FLAGS: readonly string[] = ['--disable-features=LocalNetworkAccessChecks'];

export async function startNetwork(
  options: { readonly networkTasks?: boolean; readonly flags?: readonly string[] } = {},
): Promise<RunningNetwork> {
  if (!existsSync(join(ROOT, 'dist', 'join.html'))) await buildAll(true);
  const folder = await mkdtemp(join(tmpdir(), 'shoal-test-'));
  const secretFile = join(folder, 'secret.vars');
  const stateFolder = join(folder, 'state');
  // Tests and benches count what tabs do: the router gives them nothing of its own, unless it is asked to.
  const secret = freshSecret();
  const keys = await routerKeys(parseEnv(secret).SHOAL_ROUTER_SECRET);
  await writeFile(secretFile, `${secret}SHOAL_NETWORK_TASKS="${options.networkTasks === true ? 'on' : 'off'}"\n`);
  const log: string[] = [];
  const elsewhere = Math.floor(Math.random() * PORTS);
  const router = await startRouter({
    port: await freePort(18_000 + elsewhere),
    inspectorPort: await freePort(20_000 + elsewhere),
    stateFolder,
    secretFile,
    removeAfterwards: [folder],
    onLog: (line) => log.push(line),
  });
  const browser = await launchBrowser(() => undefined, [...EXAM_FLAGS, ...(options.flags ?? [])]);
  return {
    router,
    browser,
    routerKey: keys.signer.publicKey,
    stateFolder,
    guard: await guardPass(keys),
    operator: await operatorPass(keys),
    log,
    lend: (count, options = {}) =>
      lendTabs(browser, {
        url: router.url,
        count,
        model: options.model ?? 'shoal-pup-3m:q8_0',
        direct: options.direct ?? true,
        checkOnly: options.checkOnly ?? false,
        flashAttention: options.flashAttention ?? false,
      }),
    examPage: () => openExamPage(browser, router.url),
    async stop() {
      await browser.close();
      await router.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** {@link RunningNetwork.examPage}, in a browser of one's own, or in a profile of it; with leave to connect to the mirrors of a catalogue. */
export async function openExamPage(
  browser: Pick<LaunchedBrowser, 'profile'>,
  url: string,
  models: Catalogue = { v: 2, models: [] },
): Promise<Page> {
  const folder = join(CACHE, 'exam');
  await build({
    configFile: false,
    root: join(ROOT, 'web-miner', 'testing'),
    base: EXAM_PATH,
    logLevel: 'error',
    build: {
      outDir: folder,
      emptyOutDir: true,
      target: 'es2022',
      rollupOptions: { input: join(ROOT, 'web-miner', 'testing', 'exam.html') },
    },
  });
  const file = await readFile(join(ROOT, 'web-miner', 'public', '_headers'), 'utf8');
  const headers = securityHeaders(admitMirrors(file, models));
  const page = await (await browser.profile()).newPage();
  await page.route(`**${EXAM_PATH}**`, async (route) => {
    const file = join(folder, new URL(route.request().url()).pathname.slice(EXAM_PATH.length));
    const type = TYPES[extname(file)] ?? 'application/octet-stream';
    await route.fulfill({ body: await readFile(file), headers: { ...headers, 'content-type': type } });
  });
  await page.goto(`${url}${EXAM_PATH}exam.html`);
  await page.waitForFunction(() => window.exam !== undefined);
  return page;
}

/** Where the only interface is loopback, Chromium gathers no candidates and no link can open. */
export const HAS_WEBRTC = Object.values(networkInterfaces())
  .flat()
  .some((address) => address !== undefined && !address.internal);
