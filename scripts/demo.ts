import './require-node.ts';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { servedVariants, variantsNamed } from '../shared/classes/catalogue.ts';
import { launchBrowser } from './browser/launch-browser.ts';
import { lendTabs, linkBytesOf } from './browser/lend-tabs.ts';
import { buildAll } from './build.ts';
import { readArguments } from './command-line.ts';
import { askByHttp } from './demo/ask-by-http.ts';
import { askByPage } from './demo/ask-by-page.ts';
import { Report } from './demo/report.ts';
import { freshSecret } from './router/dev-secret.ts';
import { freePort } from './router/free-port.ts';
import { startRouter } from './router/router-process.ts';

const EMBEDDED_MODEL = 'shoal-pup-3m';
const MAX_TOKENS = 300;
const TABS = 3;

const USAGE = 'npm run demo [-- [--model NAME] "your prompt"]';
const { values, positionals } = readArguments(USAGE, { model: { type: 'string', default: EMBEDDED_MODEL } });
const own = positionals.join(' ').trim();
const prompts =
  own === ''
    ? [
        'Tell me a long story about a robot and friendship.',
        'How do I make a cup of tea?',
        'What is the capital of Japan?',
      ]
    : [own, own, own];

const report = new Report();
const startedAt = performance.now();
const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(1);
/** Undone in reverse order, whatever happens. */
const cleanups: (() => Promise<unknown>)[] = [];
let stopping: Promise<void> | null = null;
const stop = new AbortController();

function stopAll(): Promise<void> {
  stopping ??= (async () => {
    stop.abort();
    for (const cleanup of cleanups.reverse()) await cleanup().catch(() => undefined);
  })();
  return stopping;
}

for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.on(signal, () => {
    console.log('\nStopping.');
    void stopAll().then(() => process.exit(status));
  });
}

// Whoever read this has closed the pipe, as `head` does: nothing is left to say.
process.stdout.on('error', () => void stopAll().then(() => process.exit(1)));

async function demo(): Promise<void> {
  report.title('Shoal: one prompt, end to end');
  const catalogue = await buildAll(true);
  const variants = await servedVariants(catalogue);
  const [served] = variantsNamed(variants, values.model);
  if (served === undefined) {
    const names = catalogue.models.map(({ id }) => id).join(', ');
    throw new Error(
      `there is no model '${values.model}'. There are: ${names}. Add one with: npm run models -- add FILE_OR_URL`,
    );
  }
  const model = `${served.model.id}:${served.variant.id}`;
  report.say(`  built (${seconds()} s)`);

  const folder = await mkdtemp(join(tmpdir(), 'shoal-demo-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const secretFile = join(folder, 'secret.vars');
  await writeFile(secretFile, freshSecret(), { mode: 0o600 });
  const starting = startRouter({
    port: await freePort(8788),
    inspectorPort: await freePort(9240),
    stateFolder: join(folder, 'state'),
    secretFile,
    removeAfterwards: [folder],
    signal: stop.signal,
    onLog: (line) => {
      if (process.env.SHOAL_VERBOSE !== undefined) console.log(`    ${line}`);
    },
  });
  cleanups.push(async () => (await starting).stop());
  const router = await starting;
  report.say(`  router at ${router.url} (${seconds()} s)`);

  const launching = launchBrowser((line) => report.say(`  ${line}`));
  cleanups.push(async () => (await launching).close());
  const browser = await launching;
  const tabs = await lendTabs(browser, { url: router.url, count: TABS, model, direct: true });
  report.say(
    `  ${TABS} tabs serve ${model}, each with keys and storage of its own; direct links allowed on each (${seconds()} s)`,
  );

  const wellKnown = (await (await fetch(`${router.url}/.well-known/shoal.json`)).json()) as {
    router_keys: { key: string }[];
  };
  const routerKey = wellKnown.router_keys[0]?.key ?? '';
  const [first = '', second = '', third = ''] = prompts;
  const common = { url: router.url, routerKey, maxTokens: MAX_TOKENS };
  await askByHttp(report, { ...common, model, prompt: first, linkBytes: () => linkBytesOf(tabs) });
  const chat = await (await browser.profile()).newPage();
  await askByPage(report, chat, { ...common, model: served.model.id, prompts: [second, third] });
}

try {
  await demo();
  if (stopping === null) finish();
} catch (cause) {
  if (stopping === null) {
    console.error(`\nThe demo could not go on: ${cause instanceof Error ? cause.message : cause}`);
    process.exitCode = 1;
  }
}
await stopAll();

function finish(): void {
  report.title(
    report.failed.length === 0 ? 'Every step held.' : `Steps that did not hold: ${report.failed.join(', ')}.`,
  );
  if (values.model.split(':')[0] === EMBEDDED_MODEL) {
    report.say(`
  Shoal Pup is a tiny demonstration model of 3 million parameters: it knows a few simple things and makes many mistakes. For a real
  one, bring any chat GGUF that llama.cpp runs (Llama 3.2 1B Instruct, for instance):

    npm run models -- add FILE_OR_URL
    npm run demo -- --model NAME "your prompt"`);
  }
  report.say(`\n  ${seconds()} s in all.`);
  console.log(
    JSON.stringify({
      name: 'demo',
      held: report.failed.length === 0,
      failed: report.failed,
      seconds: Number(seconds()),
    }),
  );
  process.exitCode = report.failed.length === 0 ? 0 : 1;
}
