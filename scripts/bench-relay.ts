import './require-node.ts';
import { join } from 'node:path';
import { bareTabs } from './bench/bare-relay.ts';
import { type Contender, readStream } from './bench/contender.ts';
import { median, rounded } from './bench/figures.ts';
import { serveRaw } from './bench/raw-workerd.ts';
import { routerContender } from './bench/router-contender.ts';
import { ROOT } from './paths.ts';

/**
 * What the router costs over the barest relay that could do the same, on raw workerd, both in one run, in turns; and the three topologies of the token
 * path. The tabs are Node processes' own: the router's tab does all its real cryptography here, on Node's slow WebCrypto, so its share is shown apart.
 */

const ROUNDS = 5;
const REQUESTS = 40;
const STREAMS = 8;
const TOKENS = 256;
/** Time to read a prompt: what the embedded model takes for a short one in a tab. */
const REAL_PREFILL_MS = 25;

async function oneByOne(contender: Contender): Promise<{ firstMs: number; tabMs: number }> {
  contender.takeTabMs();
  const firsts: number[] = [];
  for (let i = 0; i < REQUESTS; i++) firsts.push((await contender.ask(1)).firstMs);
  const tab = contender.takeTabMs();
  return { firstMs: median(firsts), tabMs: tab.length === 0 ? 0 : median(tab) };
}

async function flatOut(contender: Contender): Promise<{ tokensPerSecond: number; cpuMsPerStream: number | null }> {
  const cpuBefore = await contender.server.cpuMs();
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: STREAMS }, async () => {
      for (let i = 0; i < 4; i++) await contender.ask(TOKENS);
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  const cpuAfter = await contender.server.cpuMs();
  const cpu = cpuBefore === null || cpuAfter === null ? null : (cpuAfter - cpuBefore) / (STREAMS * 4);
  return { tokensPerSecond: (STREAMS * 4 * TOKENS) / seconds, cpuMsPerStream: cpu };
}

async function measure(contenders: readonly Contender[]): Promise<Map<string, Record<string, number>>> {
  const all = new Map(contenders.map(({ name }) => [name, new Map<string, number[]>()]));
  const note = (name: string, figure: string, value: number | null) => {
    if (value === null) return;
    const figures = all.get(name);
    figures?.set(figure, [...(figures.get(figure) ?? []), value]);
  };
  for (const contender of contenders) {
    contender.setPrefill(0);
    for (let i = 0; i < 10; i++) await contender.ask(8); // Warm: code compiled, objects awake.
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const prefill of [0, REAL_PREFILL_MS]) {
      for (const contender of contenders) {
        contender.setPrefill(prefill);
        const { firstMs, tabMs } = await oneByOne(contender);
        note(contender.name, `ttft_ms_prefill_${prefill}`, firstMs);
        note(contender.name, `ttft_ms_prefill_${prefill}_without_tab`, firstMs - (tabMs === 0 ? prefill : tabMs));
      }
    }
    for (const contender of contenders) {
      contender.setPrefill(0);
      const { tokensPerSecond, cpuMsPerStream } = await flatOut(contender);
      note(contender.name, 'tokens_per_second', tokensPerSecond);
      note(contender.name, 'server_cpu_ms_per_stream', cpuMsPerStream);
    }
  }
  return new Map(
    [...all].map(([name, figures]) => [
      name,
      Object.fromEntries([...figures].map(([figure, values]) => [figure, rounded(median(values))])),
    ]),
  );
}

const bare = await serveRaw(
  {
    name: 'bare relay',
    main: join(ROOT, 'router-worker', 'bench', 'topologies.ts'),
    objects: [
      { binding: 'POOL', className: 'BenchPool' },
      { binding: 'SESSION', className: 'BenchSession' },
    ],
    secret: null,
    assets: false,
  },
  9800,
);
const tabs = await bareTabs(bare.url, STREAMS);
const bareContender = (name: string, path: string): Contender => ({
  name,
  server: bare,
  setPrefill: tabs.setPrefill,
  takeTabMs: () => [],
  async ask(tokens) {
    tabs.setTokens(tokens);
    const startedAt = performance.now();
    return readStream(await fetch(`${bare.url}/${path}`, { method: 'POST', body: 'question' }), startedAt);
  },
});
const router = await routerContender(STREAMS);
try {
  const figures = await measure([
    bareContender('pool → Worker (bare relay)', 'pool'),
    bareContender('pool → session → Worker', 'session'),
    bareContender('own socket → session → Worker', 'direct'),
    router,
  ]);
  const rows = [...figures].map(([name, values]) => ({ name, ...values }));
  console.table(rows.map(({ name, ...values }) => ({ path: name, ...values })));
  const base = figures.get('pool → Worker (bare relay)') ?? {};
  const ours = figures.get('router') ?? {};
  const ratio = (figure: string) => rounded((ours[figure] ?? Number.NaN) / (base[figure] ?? Number.NaN));
  const ratios = {
    ttft_with_real_prefill: ratio(`ttft_ms_prefill_${REAL_PREFILL_MS}`),
    ttft_without_prefill: ratio('ttft_ms_prefill_0'),
    ttft_without_prefill_and_tab: ratio('ttft_ms_prefill_0_without_tab'),
    tokens_per_second: ratio('tokens_per_second'),
    server_cpu_per_stream: ratio('server_cpu_ms_per_stream'),
  };
  console.log(`Router over bare relay: time to first token × ${ratios.ttft_with_real_prefill} with a prefill of ${REAL_PREFILL_MS} ms (goal ≤ 1.3), × ${ratios.ttft_without_prefill} with none;
tokens per second × ${ratios.tokens_per_second} (goal ≥ 0.8).`);
  console.log(
    JSON.stringify({
      name: 'bench-relay',
      rounds: ROUNDS,
      streams: STREAMS,
      tokens: TOKENS,
      ratios,
      figures: Object.fromEntries(figures),
    }),
  );
} finally {
  tabs.close();
  await router.close();
  await bare.stop();
}
process.exit(0);
