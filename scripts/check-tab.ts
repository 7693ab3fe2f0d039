import './require-node.ts';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { readArguments } from './command-line.ts';

/**
 * What lending a tab costs and gives, as a person feels it: click to serving, memory given back, processor time beside the engine's own, longest blocked moment
 * of the page. One real browser, one router, one machine; what is compared is measured in one run.
 */

/** Not from `paths.ts`: it reads the variables that are set below. */
const ROOT = fileURLToPath(new URL('..', import.meta.url));

const USAGE = `npm run check:tab [-- --gguf FILE --tokens N --rounds N]

  --gguf     a larger model to serve and stop too (SmolLM2-135M beside the repository, where it is)
  --tokens   of an answer while the page is watched (120)
  --rounds   answers with the page open, and as many by the engine alone (6)`;

const { values } = readArguments(USAGE, {
  gguf: { type: 'string', default: join(ROOT, '..', 'shared', 'models', 'test', 'SmolLM2-135M-Instruct.Q4_1.gguf') },
  tokens: { type: 'string', default: '120' },
  rounds: { type: 'string', default: '6' },
});
const TOKENS = Number(values.tokens);
const ROUNDS = Number(values.rounds);
const PUP = 'shoal-pup-3m:q8_0';
const PROMPT = 'Tell me a long story about a robot and friendship.';
/** Lets a page settle: what it does once is not what it costs for ever, ms. */
const SETTLE_MS = 3_000;

const folder = await mkdtemp(join(tmpdir(), 'shoal-check-tab-'));
const hasLarge = existsSync(values.gguf);
if (hasLarge) {
  process.env.SHOAL_LOCAL_MODELS = join(folder, 'models');
  const add = [join(ROOT, 'scripts', 'models.ts'), 'add', values.gguf];
  console.log((await promisify(execFile)(process.execPath, add, { env: process.env })).stdout.trim());
} else console.log(`No file at ${values.gguf}: the larger model is left out.`);

// After the variables: they decide where models and pages lie.
const { buildAll } = await import('./build.ts');
const { startNetwork } = await import('./testing/running-network.ts');
const { models } = await buildAll(true);
const network = await startNetwork();
const large = hasLarge ? models.find(({ id }) => id !== 'shoal-pup-3m') : undefined;

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Processor time of the browser's processes for pages, seconds. */
async function rendererSeconds(): Promise<number> {
  const session = await network.browser.browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  return processInfo.filter(({ type }) => type === 'renderer').reduce((sum, { cpuTime }) => sum + cpuTime, 0);
}

/** Resident memory of the renderers, bytes: what the system gave them, shared pages counted for each. */
async function rendererBytes(): Promise<number> {
  const session = await network.browser.browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const each = await Promise.all(
    processInfo
      .filter(({ type }) => type === 'renderer')
      .map(async ({ id }) => {
        const status = await readFile(`/proc/${id}/status`, 'utf8').catch(() => '');
        return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024;
      }),
  );
  return each.reduce((sum, bytes) => sum + bytes, 0);
}

interface Stay {
  readonly clickToServingMs: number;
  readonly givenBackShare: number;
  readonly heldMegabytes: number;
}

/** Click, serve one answer, stop: in a profile that has nothing, or a page that has the model already. */
async function stay(page: Page, model: string): Promise<Stay> {
  await page.locator('#model').selectOption(model);
  await page.locator('#start:not([disabled])').waitFor();
  await wait(SETTLE_MS);
  const before = await rendererBytes();
  const clickedAt = performance.now();
  await page.locator('#start').click();
  await page.locator('#answers').waitFor({ timeout: 300_000 });
  await page.getByText('Ready: waiting for work').waitFor({ timeout: 60_000 });
  const clickToServingMs = performance.now() - clickedAt;
  await ask(model, 16);
  const serving = await rendererBytes();
  await page.locator('#stop').click();
  await page.getByText('Stopped', { exact: true }).waitFor();
  let after = serving;
  // The system takes memory back when it likes: looked at for a while, the least counts.
  for (let i = 0; i < 20; i++) {
    await wait(500);
    after = Math.min(after, await rendererBytes());
  }
  return {
    clickToServingMs,
    givenBackShare: (serving - after) / (serving - before),
    heldMegabytes: (serving - before) / 1e6,
  };
}

async function ask(model: string, tokens: number): Promise<number> {
  const response = await fetch(`${network.router.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model,
      messages: [{ role: 'user', content: PROMPT }],
      max_tokens: tokens,
      temperature: 1,
      seed: 7,
      shoal: { level: 'none' },
    }),
  });
  const body = (await response.json()) as { usage?: { completion_tokens: number }; error?: { message: string } };
  if (body.usage === undefined) throw new Error(body.error?.message ?? `HTTP ${response.status}`);
  return body.usage.completion_tokens;
}

async function joinPage(): Promise<Page> {
  const page = await (await network.browser.profile()).newPage();
  await page.goto(`${network.router.url}/join#whole-machine`); // Others share this machine: it must not rest for them.
  await page.locator('#model option:nth-child(2)').waitFor({ state: 'attached' });
  return page;
}

/** Processor time, µs an answer, with the whole page around the engine; and the page's longest blocked moment. */
async function pageCost(
  model: string,
): Promise<{ readonly microseconds: number; readonly tokens: number; readonly longestTaskMs: number }> {
  const page = await joinPage();
  await page.locator('#model').selectOption(model);
  await page.locator('#start').click();
  await page.getByText('Ready: waiting for work').waitFor({ timeout: 300_000 });
  await wait(SETTLE_MS);
  await page.evaluate(() => {
    const tasks: number[] = [];
    Object.assign(window, { longTasks: tasks });
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({
      type: 'longtask',
    });
  });
  const tokens = await ask(model, TOKENS); // The seed is fixed: each answer has as many.
  const before = await rendererSeconds();
  for (let i = 0; i < ROUNDS; i++) await ask(model, TOKENS);
  const spent = (await rendererSeconds()) - before;
  const longest = await page.evaluate(() => Math.max(0, ...(window as unknown as { longTasks: number[] }).longTasks));
  await page.context().close();
  return { microseconds: (spent * 1e6) / ROUNDS, tokens, longestTaskMs: longest };
}

/** The same answers by the same engine on a page that does nothing else, µs of processor for each. */
async function engineCost(name: string): Promise<number> {
  const { promptRenderer } = await import('../web-miner/engine/render-prompt.ts');
  const { chatFormOf } = await import('../shared/classes/catalogue.ts');
  const { completeSampling } = await import('../router-worker/models/complete-sampling.ts');
  const { batchTokensFor } = await import('../web-miner/work/load-model.ts');
  const [id, variantId] = name.split(':');
  const model = models.find((entry) => entry.id === id);
  const variant = model?.variants.find((entry) => entry.id === variantId);
  if (model === undefined || variant === undefined) throw new Error(`${name} is not in the catalogue`);
  const page = await network.examPage();
  const batchTokens = batchTokensFor(variant.weights.bytes);
  await page.evaluate(([entry, options]) => window.exam.loadEngine(entry, options), [
    variant,
    { contextTokens: model.contextTokens, threads: 1, batchTokens },
  ] as const);
  const prompt = promptRenderer(chatFormOf(model)).render([{ role: 'user', content: PROMPT }]);
  const sampling = completeSampling(model, { temperature: 1, seed: 7, maxTokens: TOKENS });
  const write = () =>
    page.evaluate(([text, fixed]) => window.exam.generateOne(text, fixed), [prompt, sampling] as const);
  await write();
  await wait(SETTLE_MS);
  const before = await rendererSeconds();
  for (let i = 0; i < ROUNDS; i++) await write();
  const spent = (await rendererSeconds()) - before;
  await page.context().close();
  return (spent * 1e6) / ROUNDS;
}

try {
  const report: Record<string, number | string | boolean | null> = {};
  const measure = async (name: string, model: string) => {
    const page = await joinPage();
    const first = await stay(page, model);
    const again = await stay(page, model);
    await page.context().close();
    report[`${name}ClickToServingMs`] = Math.round(first.clickToServingMs);
    report[`${name}ClickToServingAgainMs`] = Math.round(again.clickToServingMs);
    report[`${name}HeldMB`] = Math.round(again.heldMegabytes);
    report[`${name}GivenBack`] = Number(again.givenBackShare.toFixed(3));
    console.log(
      `${model}: serves ${Math.round(first.clickToServingMs)} ms after the click, ${Math.round(again.clickToServingMs)} ms when it is kept; Stop gives back ${(again.givenBackShare * 100).toFixed(1)} % of ${Math.round(again.heldMegabytes)} MB.`,
    );
  };
  await measure('embedded', PUP);
  const largeName = large !== undefined ? `${large.id}:${large.variants[0]?.id}` : null;
  if (largeName !== null) await measure('large', largeName);

  const costed = largeName ?? PUP;
  const alone = await engineCost(costed);
  const { microseconds, tokens, longestTaskMs } = await pageCost(costed);
  const aloneAfter = await engineCost(costed);
  const engine = (alone + aloneAfter) / 2;
  report.costModel = costed;
  report.pageMicrosecondsPerToken = Math.round(microseconds / tokens);
  report.engineMicrosecondsPerToken = Math.round(engine / tokens);
  report.engineSpread = Number((Math.abs(alone - aloneAfter) / engine).toFixed(3));
  report.pageOverEngine = Number((microseconds / engine).toFixed(3));
  report.longestTaskMs = Math.round(longestTaskMs);
  console.log(
    `${costed}: ${Math.round(microseconds / tokens)} µs of processor a token with the page, ${Math.round(engine / tokens)} with the engine alone; longest task of the page ${Math.round(longestTaskMs)} ms.`,
  );
  const held =
    Number(report.embeddedClickToServingMs) <= 3_000 &&
    Number(report[largeName === null ? 'embeddedGivenBack' : 'largeGivenBack']) >= 0.9 &&
    longestTaskMs < 50;
  console.log(JSON.stringify({ name: 'check-tab', held, ...report }));
  process.exitCode = held ? 0 : 1;
} finally {
  await network.stop();
  await rm(folder, { recursive: true, force: true });
  if (large !== undefined) {
    // What the router serves is as it was.
    await rm(join(ROOT, 'dist', 'models', 'weights', large.variants[0]?.weights.sha256 ?? ''), { recursive: true });
    delete process.env.SHOAL_LOCAL_MODELS;
    await promisify(execFile)(process.execPath, [join(ROOT, 'scripts', 'build.ts'), '--quiet'], { env: process.env });
  }
}
