import './require-node.ts';
import type { Page } from 'playwright-core';
import { completeSampling } from '../router-worker/models/complete-sampling.ts';
import { proportionInterval } from '../shared/checking/intervals.ts';
import { chatFormOf, servedVariants, variantsNamed } from '../shared/classes/catalogue.ts';
import type { GenerateRequest } from '../web-miner/engine/engine.ts';
import { promptRenderer } from '../web-miner/engine/render-prompt.ts';
import { batchTokensFor } from '../web-miner/work/load-model.ts';
import { trialRequests } from './attack/trial-requests.ts';
import { type FoundBrowser, findEveryBrowser } from './browser/find-browser.ts';
import { launchBrowser } from './browser/launch-browser.ts';
import { buildAll } from './build.ts';
import { readArguments } from './command-line.ts';
import { EXAM_FLAGS, openExamPage, startNetwork } from './testing/running-network.ts';

/**
 * How exact an exact class is: the same requests, greedy and sampled, in engines under other conditions and in every kind of browser that is there,
 * compared to the byte with what the first engine wrote, as a check compares them. Prints a row for each condition. Exit status 0 only when every
 * answer is the same, but those of a setting that no tab has, which is shown for contrast.
 */

const { values } = readArguments(
  'npm run bench:exactness [-- --model shoal-pup-3m:q8_0 --answers 24 --tokens 120 --threads 1,2]',
  {
    model: { type: 'string', default: 'shoal-pup-3m:q8_0' },
    answers: { type: 'string', default: '24' },
    tokens: { type: 'string', default: '120' },
    threads: { type: 'string', default: '1,2' },
  },
);
const maxTokens = Number(values.tokens);

/** Beside the questions of the attacks: other languages, emoji, and questions behind a passage of some length, so that several batches are read. */
const QUESTIONS = [
  'Explain why the sky is blue, in two sentences.',
  'Wie macht man einen guten Tee? Bitte antworte ausführlich.',
  '日本の首都はどこですか。',
  'Schreib 🐟🐠🐡 und erkläre sie.',
  'List five things to pack for a walk in the rain.',
];
const PASSAGE = 'The boats came home in the evening and the gulls followed them. ';
/** One request in so many is one of these. */
const EVERY = 4;

interface Condition {
  readonly what: string;
  readonly batchTokens: number;
  readonly slots: number;
  /** Slots that keep what they read in one cache: nothing that a tab does, and shown for contrast. */
  readonly sharedCache: boolean;
  /** The engine of the row before is asked again, each prompt twice in a row: it finds what it has read in its cache. */
  readonly warm: boolean;
  readonly reversed: boolean;
}

const [served] = variantsNamed(await servedVariants(await buildAll(true)), values.model);
if (served === undefined) throw new Error(`There is no model '${values.model}'.`);
const { model, variant } = served;
const lending = batchTokensFor(variant.weights.bytes);
const LENDING = { batchTokens: lending, slots: 1, sharedCache: false, warm: false, reversed: false };
const CONDITIONS: readonly Condition[] = [
  { ...LENDING, what: 'cold cache' },
  { ...LENDING, what: 'warm cache', warm: true },
  { ...LENDING, what: 'batches of 8, in reverse order', batchTokens: 8, reversed: true },
  { ...LENDING, what: 'two slots at once, a cache each', slots: 2 },
  { ...LENDING, what: 'for contrast: two slots at once, one cache', slots: 2, sharedCache: true },
];

const renderer = promptRenderer(chatFormOf(model));
const requests: GenerateRequest[] = trialRequests(model, Number(values.answers), maxTokens).map((request, index) => {
  const place = Math.floor(index / EVERY);
  const own = index % EVERY === EVERY - 1 ? QUESTIONS[place % QUESTIONS.length] : undefined;
  const passages = PASSAGE.repeat((Math.floor(place / QUESTIONS.length) % 4) * 3);
  const content = own === undefined ? request.question : `${passages}${own}`;
  // Greedy and sampled in turns, whichever question it is.
  const temperature = (index + place) % 2 === 0 ? 0 : 0.8;
  const sampling = completeSampling(model, { temperature, seed: 20_261 + index, maxTokens });
  return { prompt: renderer.render([{ role: 'user', content }]), sampling, stop: [] };
});

interface Row {
  readonly browser: string;
  readonly threads: number;
  readonly condition: string;
  readonly answers: number;
  readonly same: number;
  /** Requests without two answers to compare, because an engine failed. */
  readonly lost: number;
  /** Not what a tab does. */
  readonly contrast: boolean;
}

/** Requests handed to a page at once: engines with slots are fresh for each of these. */
const AT_ONCE = 20;
/** What the first engine wrote. */
const reference: { answers: readonly (string | null)[] | null } = { answers: null };
const rows: Row[] = [];

/** The answers under one condition, in the order of the requests; null when the engine cannot run so many threads here. */
async function answersOf(
  page: Page,
  condition: Condition,
  threads: number,
): Promise<readonly (string | null)[] | null> {
  const { batchTokens, slots, sharedCache, warm, reversed } = condition;
  const { contextTokens } = model;
  const options = { contextTokens, threads, batchTokens, slots, sharedCache };
  const load = () =>
    page.evaluate(([entry, asked]) => window.exam.loadEngine(entry, asked), [variant, options] as const);
  if (slots === 1 && !warm && (await load()) !== threads) return null;
  const order = warm ? requests.flatMap((request) => [request, request]) : reversed ? requests.toReversed() : requests;
  const answers: (string | null)[] = [];
  while (answers.length < order.length) {
    const some = order.slice(answers.length, answers.length + AT_ONCE);
    answers.push(
      ...(slots > 1
        ? await page.evaluate(([entry, asked, all]) => window.exam.writeAllInSlots(entry, asked, all), [
            variant,
            options,
            some,
          ] as const)
        : await page.evaluate((all) => window.exam.writeAll(all), some)),
    );
  }
  return reversed ? answers.toReversed() : answers;
}

/** Differing answers of a condition that are printed. */
const SHOWN = 3;

/** The text without what follows on how it ended, which slots do not tell. */
const textOf = (answer: string) => answer.slice(0, answer.lastIndexOf('\n'));

async function runIn(page: Page, browser: string, threads: number): Promise<void> {
  for (const condition of CONDITIONS) {
    const answers = await answersOf(page, condition, threads);
    if (answers === null) {
      console.log(`${browser}, ${threads} threads: LEFT OUT, the engine does not run so many here.`);
      return;
    }
    const truth = reference.answers;
    if (truth === null) {
      reference.answers = answers;
      continue;
    }
    const per = answers.length / truth.length; // A warm engine was asked each twice.
    const expected = answers.map((_, index) => {
      const answer = truth[Math.floor(index / per)] ?? null;
      return answer !== null && condition.slots > 1 ? textOf(answer) : answer;
    });
    // A check compares two answers: where an engine fails there is none.
    const compared = answers.filter((answer, index) => answer !== null && expected[index] !== null).length;
    const others = answers.flatMap((answer, index) =>
      answer === null || expected[index] === null || answer === expected[index] ? [] : [index],
    );
    const same = compared - others.length;
    const lost = answers.length - compared;
    for (const index of others.slice(0, SHOWN)) {
      console.log(JSON.stringify({ expected: expected[index], written: answers[index] }));
    }
    rows.push({
      browser,
      threads,
      condition: condition.what,
      answers: compared,
      same,
      lost,
      contrast: condition.sharedCache,
    });
    console.log(
      `${browser}, ${threads} thread(s), ${condition.what}: ${same} of ${compared} the same to the byte, ${lost} lost`,
    );
  }
}

const browsers: readonly FoundBrowser[] = await findEveryBrowser((line) => console.log(line));
for (const wanted of ['installed', 'npm'] as const) {
  const isThere = browsers.some(
    ({ origin }) => origin === wanted || (wanted === 'installed' && origin === 'environment'),
  );
  if (!isThere) console.log(`LEFT OUT: there is no ${wanted} browser on this machine.`);
}
const network = await startNetwork();
try {
  for (const found of browsers) {
    const launched = await launchBrowser(() => undefined, EXAM_FLAGS, found);
    try {
      const page = await openExamPage(launched, network.router.url);
      const browser = `Chromium ${launched.browser.version()} (${found.origin})`;
      for (const threads of values.threads.split(',').map(Number)) await runIn(page, browser, threads);
    } finally {
      await launched.close();
    }
  }
} finally {
  await network.stop();
}

const counted = rows.filter(({ contrast }) => !contrast);
const compared = counted.reduce((sum, { answers }) => sum + answers, 0);
const different = compared - counted.reduce((sum, { same }) => sum + same, 0);
const { high } = proportionInterval(different, compared);
const distinct = new Set(reference.answers).size;
const failed = reference.answers?.filter((answer) => answer === null).length ?? 0;
console.log(
  `${distinct} of the first engine's ${requests.length} answers are different from each other; it failed on ${failed}.`,
);
console.log(`${different} of ${compared} honest checks rejected; at most ${(100 * high).toFixed(2)} % (95 %).`);
console.log(
  JSON.stringify({
    name: 'bench-exactness',
    model: `${model.id}:${variant.id}`,
    tokens: maxTokens,
    compared,
    different,
    upperBoundPercent: Number((100 * high).toFixed(3)),
    distinct,
    failed,
    conditions: rows,
  }),
);
process.exitCode = different === 0 ? 0 : 1;
