import './require-node.ts';
import { parseArgs } from 'node:util';
import { completeSampling } from '../router-worker/models/complete-sampling.ts';
import { servedVariants, variantsNamed } from '../shared/classes/catalogue.ts';
import { promptRenderer } from '../web-miner/engine/render-prompt.ts';
import { buildAll } from './build.ts';
import { startNetwork } from './testing/running-network.ts';

/**
 * How exact an exact class is: the same prompts, greedy and sampled, in engines with other threads, other batch sizes and another history, compared
 * byte by byte with the first of them. Prints a row for each condition. Exit status 0 only when every answer is the same.
 */

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'shoal-pup-3m:q8_0' },
    prompts: { type: 'string', default: '12' },
    tokens: { type: 'string', default: '120' },
  },
});
const maxTokens = Number(values.tokens);

const QUESTIONS = [
  'How do I make a cup of tea?',
  'What is the capital of Japan?',
  'Tell me a story about a robot and a friend.',
  'Explain why the sky is blue, in two sentences.',
  'Wie macht man einen guten Tee? Bitte antworte ausführlich.',
  '日本の首都はどこですか。',
  'Schreib 🐟🐠🐡 und erkläre sie.',
  'List five things to pack for a walk in the rain.',
];

const CONDITIONS = [
  { threads: 1, batchTokens: 64, what: 'the first' },
  { threads: 1, batchTokens: 64, what: 'a fresh engine, prompts in reverse order' },
  { threads: 1, batchTokens: 8, what: 'batches of 8' },
  { threads: 1, batchTokens: 16, what: 'batches of 16' },
  { threads: 2, batchTokens: 64, what: 'two threads' },
  { threads: 2, batchTokens: 8, what: 'two threads, batches of 8' },
];

const [served] = variantsNamed(await servedVariants(await buildAll(true)), values.model);
if (served === undefined) throw new Error(`There is no model '${values.model}'.`);
const { model, variant } = served;
const renderer = promptRenderer(model.chat);
const prompts = Array.from({ length: Number(values.prompts) }, (_, index) => {
  const question = QUESTIONS[index % QUESTIONS.length] ?? '';
  // From the second time on, behind a passage of some length, so that several batches are read.
  const passage = 'The boats came home in the evening and the gulls followed them. '.repeat(
    Math.floor(index / QUESTIONS.length) * 3,
  );
  return renderer.render([{ role: 'user', content: `${passage}${question}` }]);
});
const samplings = [
  completeSampling(model, { temperature: 0, seed: 1, maxTokens }),
  completeSampling(model, { temperature: 0.8, seed: 20_261, maxTokens }),
];

const network = await startNetwork();
let different = 0;
const rows: { condition: string; threads: number; answers: number; same: number }[] = [];
try {
  const page = await network.examPage();
  let first: readonly string[] | null = null;
  for (const [index, { threads, batchTokens, what }] of CONDITIONS.entries()) {
    const running = await page.evaluate(([entry, options]) => window.exam.loadEngine(entry, options), [
      variant,
      { contextTokens: model.contextTokens, threads, batchTokens },
    ] as const);
    if (running !== threads) {
      console.log(`${what}: left out, the engine runs ${running} threads here instead of ${threads}.`);
      continue;
    }
    const reversed = index === 1;
    const texts: string[] = [];
    for (const sampling of samplings) {
      const order = reversed ? prompts.toReversed() : prompts;
      const written = await page.evaluate(([all, fixed]) => window.exam.generateAll(all, fixed), [
        order,
        sampling,
      ] as const);
      texts.push(...(reversed ? written.texts.toReversed() : written.texts));
    }
    first ??= texts;
    const same = texts.filter((text, i) => text === first?.[i]).length;
    different += texts.length - same;
    rows.push({ condition: what, threads: running, answers: texts.length, same });
    console.log(`${what}: ${same} of ${texts.length} answers the same to the byte`);
  }
  const distinct = new Set(first).size;
  console.log(`${distinct} of the first engine's ${first?.length ?? 0} answers are different from each other.`);
  console.log(
    JSON.stringify({
      name: 'bench-exactness',
      model: `${model.id}:${variant.id}`,
      browser: network.browser.browser.version(),
      different,
      distinct,
      conditions: rows,
    }),
  );
} finally {
  await network.stop();
}
process.exitCode = different === 0 ? 0 : 1;
