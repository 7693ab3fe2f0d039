import './require-node.ts';
import type { LendingTab } from '../web-miner/work/lending-tab.ts';
import { rounded } from './bench/figures.ts';
import { FixedEngine } from './bench/fixed-engine.ts';
import { benchWork, lendNodeTab } from './bench/node-tab.ts';
import { serveRouter } from './bench/router-contender.ts';

/**
 * One request of many parts on 1, 2, 4 and 8 tabs with engines of one pace, through the router on raw workerd: how much faster it is, and what one tab does to it
 * that is ten times slower. The tabs are Node's, with their real cryptography.
 */

const PARTS = 64;
const TOKENS = 50;
const MS_PER_TOKEN = 20;
const SLOWER = 10;
const TABS = [1, 2, 4, 8];

const server = await serveRouter(9841);
const work = await benchWork();
const lent: { readonly engine: FixedEngine; readonly tab: LendingTab }[] = [];

async function lendUpTo(count: number): Promise<void> {
  while (lent.length < count) {
    const engine = new FixedEngine();
    engine.msPerToken = MS_PER_TOKEN;
    lent.push({ engine, tab: await lendNodeTab(server.url, work, engine) });
  }
}

/** Seconds for one request of all the parts. */
async function ask(): Promise<number> {
  const body = JSON.stringify({
    model: `${work.model}:${work.variant}`,
    prompt: Array.from({ length: PARTS }, (_, part) => `part ${part}`),
    max_tokens: TOKENS,
    shoal: { level: 'none' },
  });
  const startedAt = performance.now();
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${server.url}/v1/completions`, { method: 'POST', headers, body });
  const answer = (await response.json()) as { choices?: { index: number; text: string }[] };
  const isWhole =
    answer.choices?.length === PARTS &&
    answer.choices.every(({ index, text }, at) => index === at && text === 'token'.repeat(TOKENS));
  if (!isWhole) throw new Error(`not every part came back: ${JSON.stringify(answer).slice(0, 500)}`);
  return (performance.now() - startedAt) / 1000;
}

/** Seconds with the last tab slow. */
async function askWithStraggler(): Promise<number> {
  const straggler = lent.at(-1)?.engine;
  if (straggler === undefined) throw new Error('there is no tab');
  straggler.msPerToken = SLOWER * MS_PER_TOKEN;
  try {
    return await ask();
  } finally {
    straggler.msPerToken = MS_PER_TOKEN;
    // What it was at when it was stopped is over before the next measurement.
    await new Promise((resolve) => setTimeout(resolve, SLOWER * MS_PER_TOKEN * 2));
  }
}

try {
  await lendUpTo(1);
  await fetch(`${server.url}/healthz`);
  const seconds = new Map<number, number>();
  const oneOfThem = new Map<number, number>();
  const besideThem = new Map<number, number>();
  for (const count of TABS) {
    await lendUpTo(count);
    seconds.set(count, await ask());
    if (count < 4) continue;
    oneOfThem.set(count, await askWithStraggler());
    await lendUpTo(count + 1);
    besideThem.set(count, await askWithStraggler());
    await lent.pop()?.tab.close();
  }
  const alone = seconds.get(1) ?? Number.NaN;
  const rows = TABS.map((tabs) => {
    const own = seconds.get(tabs) ?? Number.NaN;
    const ratio = (other: number | undefined) => (other === undefined ? null : rounded(other / own));
    return {
      tabs,
      seconds: rounded(own),
      speed_up: rounded(alone / own),
      speed_up_per_tab: rounded(alone / own / tabs),
      /** Time over the time without it, when one of them is the slow one, and when it comes to them. */
      straggler_among: ratio(oneOfThem.get(tabs)),
      straggler_beside: ratio(besideThem.get(tabs)),
    };
  });
  console.table(rows);
  console.log(
    `Goals: speed-up ≥ 0.9 for each tab; with a straggler ${SLOWER} times slower ≤ 1.2 × the time without it.`,
  );
  console.log(
    JSON.stringify({ name: 'bench-parts', parts: PARTS, part_ms: TOKENS * MS_PER_TOKEN, slower: SLOWER, rows }),
  );
} finally {
  await Promise.all(lent.map(({ tab }) => tab.close()));
  await server.stop();
}
process.exit(0);
