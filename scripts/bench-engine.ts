import './require-node.ts';
import { parseArgs } from 'node:util';
import { completeSampling } from '../router-worker/models/complete-sampling.ts';
import { chatFormOf, servedVariants, variantsNamed } from '../shared/classes/catalogue.ts';
import { promptRenderer } from '../web-miner/engine/render-prompt.ts';
import { median, rounded } from './bench/figures.ts';
import { type LaunchedBrowser, launchBrowser } from './browser/launch-browser.ts';
import { buildAll } from './build.ts';
import { openExamPage, startNetwork } from './testing/running-network.ts';

/**
 * What serving the network costs a tab beside the engine itself: CPU time per token of the tab's process (page, workers, engine: Chromium's own count)
 * while it answers for the router, over the same prompts, sampling and tokens on the engine alone in a page. Both in one run, in turns, each in a
 * browser of its own.
 */

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'shoal-pup-3m:q8_0' },
    rounds: { type: 'string', default: '7' },
    requests: { type: 'string', default: '12' },
    tokens: { type: 'string', default: '200' },
  },
});
const rounds = Number(values.rounds);
const requests = Number(values.requests);
const maxTokens = Number(values.tokens);

/** CPU time of a browser's processes so far, s. */
async function cpuSeconds({ browser }: LaunchedBrowser): Promise<{ tab: number; all: number }> {
  const session = await browser.newBrowserCDPSession();
  try {
    const { processInfo } = await session.send('SystemInfo.getProcessInfo');
    const sum = (kinds: typeof processInfo) => kinds.reduce((total, { cpuTime }) => total + cpuTime, 0);
    return { tab: sum(processInfo.filter(({ type }) => type === 'renderer')), all: sum(processInfo) };
  } finally {
    await session.detach();
  }
}

interface Cost {
  readonly tokens: number;
  readonly tabMsPerToken: number;
  readonly allMsPerToken: number;
  readonly tokensPerSecond: number;
}

async function cost(browser: LaunchedBrowser, work: () => Promise<number>): Promise<Cost> {
  const before = await cpuSeconds(browser);
  const startedAt = performance.now();
  const tokens = await work();
  const seconds = (performance.now() - startedAt) / 1000;
  const after = await cpuSeconds(browser);
  return {
    tokens,
    tabMsPerToken: ((after.tab - before.tab) * 1000) / tokens,
    allMsPerToken: ((after.all - before.all) * 1000) / tokens,
    tokensPerSecond: tokens / seconds,
  };
}

const [served] = variantsNamed(await servedVariants(await buildAll(true)), values.model);
if (served === undefined) throw new Error(`There is no model '${values.model}'.`);
const name = `${served.model.id}:${served.variant.id}`;
const network = await startNetwork();
const other = await launchBrowser(() => undefined, ['--disable-features=LocalNetworkAccessChecks']);
try {
  const alone = await openExamPage(other, network.router.url);
  const { variant, model } = served;
  await alone.evaluate(([entry, options]) => window.exam.loadEngine(entry, options), [
    variant,
    { contextTokens: model.contextTokens, threads: 1, batchTokens: null },
  ] as const);
  await network.lend(1, { model: name, direct: false });

  const sampling = completeSampling(model, { temperature: 0, seed: 7, maxTokens });
  const renderer = promptRenderer(chatFormOf(model));
  const question = (round: number, index: number) => `Tell me a story about robot number ${round * requests + index}.`;
  const contenders = {
    alone: (round: number) =>
      cost(other, () =>
        alone.evaluate(async ([prompts, fixed]) => (await window.exam.generateAll(prompts, fixed)).tokens, [
          Array.from({ length: requests }, (_, index) =>
            renderer.render([{ role: 'user', content: question(round, index) }]),
          ),
          sampling,
        ] as const),
      ),
    network: (round: number) =>
      cost(network.browser, async () => {
        let tokens = 0;
        for (let index = 0; index < requests; index++) tokens += await ask(question(round, index));
        return tokens;
      }),
  };
  await contenders.alone(1_000);
  await contenders.network(1_000); // Warm.
  const all: { alone: Cost; network: Cost }[] = [];
  for (let round = 0; round < rounds; round++) {
    const first = round % 2 === 0;
    const early = await contenders[first ? 'alone' : 'network'](round);
    const late = await contenders[first ? 'network' : 'alone'](round);
    const pair = first ? { alone: early, network: late } : { alone: late, network: early };
    if (pair.alone.tokens !== pair.network.tokens) {
      throw new Error(`not the same work: ${pair.alone.tokens} tokens alone, ${pair.network.tokens} under the network`);
    }
    all.push(pair);
    console.log(
      `round ${round + 1}: ${pair.alone.tokens} tokens; alone ${rounded(pair.alone.tabMsPerToken)} ms CPU per token, under the network ${rounded(pair.network.tabMsPerToken)}`,
    );
  }
  const of = (side: 'alone' | 'network', figure: keyof Cost) => rounded(median(all.map((pair) => pair[side][figure])));
  const ratio = (figure: keyof Cost) => rounded(median(all.map((pair) => pair.network[figure] / pair.alone[figure])));
  console.log(
    `${name}: the tab's CPU time per token × ${ratio('tabMsPerToken')} (goal ≤ 1.03), the whole browser's × ${ratio('allMsPerToken')}, tokens per second × ${ratio('tokensPerSecond')}.`,
  );
  console.log(
    JSON.stringify({
      name: 'bench-engine',
      model: name,
      rounds,
      tokens: all[0]?.alone.tokens,
      ratios: {
        tab_cpu_per_token: ratio('tabMsPerToken'),
        browser_cpu_per_token: ratio('allMsPerToken'),
        tokens_per_second: ratio('tokensPerSecond'),
      },
      figures: {
        alone: {
          tab_cpu_ms_per_token: of('alone', 'tabMsPerToken'),
          tokens_per_second: of('alone', 'tokensPerSecond'),
        },
        network: {
          tab_cpu_ms_per_token: of('network', 'tabMsPerToken'),
          tokens_per_second: of('network', 'tokensPerSecond'),
        },
      },
    }),
  );
} finally {
  await other.close();
  await network.stop();
}

/** Tokens of the answer. */
async function ask(content: string): Promise<number> {
  const response = await fetch(`${network.router.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: name,
      temperature: 0,
      seed: 7,
      max_tokens: maxTokens,
      messages: [{ role: 'user', content }],
      shoal: { level: 'none' },
    }),
    signal: AbortSignal.timeout(120_000),
  });
  const body = (await response.json()) as { usage?: { completion_tokens: number } };
  if (body.usage === undefined) throw new Error(`the router answered ${response.status}: ${JSON.stringify(body)}`);
  return body.usage.completion_tokens;
}
