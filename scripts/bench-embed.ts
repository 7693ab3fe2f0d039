import './require-node.ts';
import { readFile } from 'node:fs/promises';
import { servedVariants, variantsNamed } from '../shared/classes/catalogue.ts';
import type { Embedded } from '../web-miner/engine/engine.ts';
import type { LendingTab } from '../web-miner/work/lending-tab.ts';
import { rounded } from './bench/figures.ts';
import { FixedEngine } from './bench/fixed-engine.ts';
import { benchWork, lendNodeTab } from './bench/node-tab.ts';
import { serveRouter } from './bench/router-contender.ts';
import { sentences } from './bench/sentences.ts';
import { readArguments } from './command-line.ts';
import { MINI_LM_FILE, serveEmbedders } from './testing/embedders.ts';
import { type RunningNetwork, startNetwork } from './testing/running-network.ts';

/**
 * One request of many sentences: on 1, 2, 4 and 8 tabs of Node with engines of one pace, which says what the router costs; and with real engines in 1 and 2 tabs of a
 * browser, which says what a device does. Then whether the nearest question is one of the same kind, where questions with kinds are at hand.
 */

const { values } = readArguments(
  'npm run bench:embed [-- --sentences 1000 --real-sentences 1000 --questions FILE.jsonl]',
  {
    sentences: { type: 'string', default: '1000' },
    'real-sentences': { type: 'string', default: '1000' },
    questions: { type: 'string' },
  },
);
const MS_PER_TEXT = 10;
const TABS = [1, 2, 4, 8];
const DIMENSIONS = 192;

/** A vector for every text, at its pace. */
class PacedEmbedder extends FixedEngine {
  override async embed(text: string): Promise<Embedded> {
    await new Promise((resolve) => setTimeout(resolve, MS_PER_TEXT));
    return { vector: new Float32Array(DIMENSIONS).fill(text.length), tokens: 12 };
  }
}

interface Answer {
  readonly data: readonly { readonly embedding: number[] }[];
  readonly usage: { readonly prompt_tokens: number };
  readonly shoal: { readonly tasks: readonly string[] };
}

async function embed(url: string, model: string, input: readonly string[]): Promise<Answer & { seconds: number }> {
  const startedAt = performance.now();
  const response = await fetch(`${url}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, input, shoal: { level: 'none' } }),
  });
  const answer = (await response.json()) as Answer;
  if (!response.ok || answer.data.length !== input.length) {
    throw new Error(`not every vector came back: ${JSON.stringify(answer).slice(0, 500)}`);
  }
  return { ...answer, seconds: (performance.now() - startedAt) / 1000 };
}

async function pacedRows(model: string, lend: (engine: FixedEngine) => Promise<LendingTab>, url: string) {
  const input = sentences(Number(values.sentences));
  const rows: { tabs: number; seconds: number; parts: number; speed_up: number; speed_up_per_tab: number }[] = [];
  const lent: LendingTab[] = [];
  try {
    for (const tabs of TABS) {
      while (lent.length < tabs) lent.push(await lend(new PacedEmbedder()));
      const { seconds, shoal } = await embed(url, model, input);
      const speedUp = (rows[0]?.seconds ?? seconds) / seconds;
      rows.push({
        tabs,
        seconds: rounded(seconds),
        parts: shoal.tasks.length,
        speed_up: rounded(speedUp),
        speed_up_per_tab: rounded(speedUp / tabs),
      });
    }
  } finally {
    await Promise.all(lent.map((tab) => tab.close()));
  }
  return rows;
}

async function realRows(network: RunningNetwork, model: string) {
  const input = sentences(Number(values['real-sentences']));
  const rows: { tabs: number; seconds: number; sentences_per_second: number; tokens_per_second: number }[] = [];
  let first: Answer | null = null;
  for (const tabs of [1, 2]) {
    await network.lend(1, { model });
    await embed(network.router.url, model, input.slice(0, 40)); // The pool learns how fast they are.
    const { seconds, ...answer } = await embed(network.router.url, model, input);
    first ??= answer;
    if (JSON.stringify(answer.data) !== JSON.stringify(first.data))
      throw new Error('two tabs gave other vectors than one');
    rows.push({
      tabs,
      seconds: rounded(seconds),
      sentences_per_second: rounded(input.length / seconds),
      tokens_per_second: rounded(answer.usage.prompt_tokens / seconds),
    });
  }
  return { rows, speed_up: rounded((rows[0]?.seconds ?? 0) / (rows[1]?.seconds ?? 1)) };
}

/** Share of questions whose nearest other question is of the same kind, and the share that chance would give. */
async function nearestOfKind(network: RunningNetwork, model: string, file: string) {
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');
  const questions = lines.map((line) => JSON.parse(line) as { category: string; turns: string[] });
  const { data } = await embed(
    network.router.url,
    model,
    questions.map(({ turns }) => turns[0] ?? ''),
  );
  const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, at) => sum + x * (b[at] ?? 0), 0);
  const hits = questions.filter(({ category }, at) => {
    const scores = data.map(({ embedding }, other) => (other === at ? -1 : dot(embedding, data[at]?.embedding ?? [])));
    return questions[scores.indexOf(Math.max(...scores))]?.category === category;
  });
  const sameKind = questions.map(({ category }) => questions.filter((other) => other.category === category).length - 1);
  const chance = sameKind.reduce((sum, count) => sum + count, 0) / questions.length / (questions.length - 1);
  return { questions: questions.length, same_kind: rounded(hits.length / questions.length), chance: rounded(chance) };
}

const work = await benchWork();
const embedders = await serveEmbedders();
try {
  const [served] = variantsNamed(await servedVariants(embedders.catalogue), embedders.pup);
  if (served === undefined) throw new Error('the model is missing');
  const own = { ...work, model: served.model.id, variant: served.variant.id, class: served.class };
  const server = await serveRouter(9861);
  const paced = await pacedRows(embedders.pup, (engine) => lendNodeTab(server.url, own, engine), server.url).finally(
    () => server.stop(),
  );
  console.table(paced);

  const model = embedders.miniLm;
  if (model === null) console.log(`LEFT OUT: no real engine, because ${MINI_LM_FILE} is not at hand.`);
  const network = model === null ? null : await startNetwork();
  try {
    const real = model === null || network === null ? null : await realRows(network, model);
    if (real !== null) console.table(real.rows);
    const { questions } = values;
    const isAsked = model !== null && network !== null && questions !== undefined;
    const nearest = isAsked ? await nearestOfKind(network, model, questions) : null;
    console.log(
      JSON.stringify({
        name: 'bench-embed',
        sentences: Number(values.sentences),
        ms_per_text: MS_PER_TEXT,
        paced,
        real,
        nearest,
      }),
    );
  } finally {
    await network?.stop();
  }
} finally {
  await embedders.remove();
}
process.exit(0);
