import '../require-node.ts';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import type { Page } from 'playwright-core';
import * as v from 'valibot';
import { completeSampling } from '../../router-worker/models/complete-sampling.ts';
import { toBytes } from '../../shared/bytes.ts';
import type { ForcedToken } from '../../shared/checking/next-token.ts';
import { chunkCuts, rankOf } from '../../shared/checking/next-token-commits.ts';
import type { ProbeRow } from '../../shared/checking/probe-row.ts';
import {
  greedyProbe,
  greedyStatistics,
  sampledProbe,
  sampledStatistics,
} from '../../shared/checking/probe-statistics.ts';
import { RUBRIC_CHOICES, RUBRIC_QUESTIONS, rubricMessage, yesMargin } from '../../shared/checking/rubric.ts';
import { seededStatistics } from '../../shared/checking/seeded-draws.ts';
import { readSentenceEmbedding } from '../../shared/checking/sentence-embedding.ts';
import { cosine } from '../../shared/checking/similarity.ts';
import { catalogue, chatFormOf } from '../../shared/classes/catalogue.ts';
import { GUESS_CANDIDATES } from '../../shared/limits.ts';
import { promptRenderer } from '../../web-miner/engine/render-prompt.ts';
import { readArguments, runCommand } from '../command-line.ts';
import { CACHE, EMBEDDED_MODELS, ROOT } from '../paths.ts';
import { startNetwork } from '../testing/running-network.ts';
import { type RubricRow, readPrompts, type SimilarityRow, type TextRow, writeCollection } from './calibration-data.ts';
import { dequantized } from './dequantize-gguf.ts';
import { edited, foreign, garbage, looping, truncated, withAdvertisement, withLink } from './dishonest-texts.ts';

/**
 * Makes the data of calibration: real engines in a real browser answer the prompts of `docs/calibration/prompts.tsv`, honestly and not, and other classes
 * read each answer token by token. Takes about 20 minutes on two cores.
 */

const USAGE = `npm run calibrate:collect -- [--models FOLDER] [--probes] [--prompts N]

  --models   folder with all-MiniLM-L6-v2.q8_0.gguf and SmolLM2-135M-Instruct.Q4_1.gguf (default ../shared/models/test)
  --probes   read answers only, and leave similarity.csv and rubric.jsonl as they are
  --prompts  use only the first N prompts, and write nothing: a trial`;

const TOKENS = 48;
const TEMPERATURE = 0.8;
/** Every third prompt is attacked: the data must stay small, and the honest ones carry the limits. */
const ATTACKED_EVERY = 3;
/** Prompts that are put to the judges; one of 135 M parameters takes seconds for each. */
const JUDGED_EVERY = { pup: 6, 'smollm2-135m': 24 } as const;
/** Seeds that a tab would choose for itself instead of the lease's. */
const OWN_SEEDS_FROM = 500_000;

const JUDGED: ReadonlySet<string> = new Set(['honest', 'edited', 'truncated', 'other prompt', 'garbage']);

interface Answer {
  readonly population: string;
  readonly prompt: number;
  readonly temperature: number;
  readonly text: string;
  readonly finish: 'stop' | 'length';
}

/** A way of running weights: a class, or what stands for one. */
interface Arithmetic {
  readonly file: string;
  readonly flashAttention: boolean;
}

await runCommand(async () => {
  const { values } = readArguments(USAGE, {
    models: { type: 'string', default: join(ROOT, '..', 'shared', 'models', 'test') },
    probes: { type: 'boolean', default: false },
    prompts: { type: 'string' },
  });
  const startedAt = performance.now();
  const questions = (await readPrompts()).slice(0, values.prompts === undefined ? undefined : Number(values.prompts));
  const { models } = v.parse(catalogue, JSON.parse(await readFile(join(EMBEDDED_MODELS, 'catalogue.json'), 'utf8')));
  const [model] = models;
  if (model === undefined) throw new Error('The embedded catalogue is empty.');
  const renderer = promptRenderer(chatFormOf(model));
  const prompts = questions.map(({ text }) => renderer.render([{ role: 'user', content: text }]));
  const renderedPrompt = (index: number) => prompts[index] ?? '';
  const attacked = questions.map((_, index) => index).filter((index) => index % ATTACKED_EVERY === 0);

  const chat = (id: string) => join(EMBEDDED_MODELS, 'chat', `shoal-pup-3M-instruct-${id}.gguf`);
  const f32 = join(CACHE, 'calibrate', 'shoal-pup-f32.gguf');
  await mkdir(join(CACHE, 'calibrate'), { recursive: true });
  await writeFile(f32, dequantized(toBytes(await readFile(chat('q8_0')))));
  const classes = {
    exact: { file: chat('q8_0'), flashAttention: false },
    flash: { file: chat('q8_0'), flashAttention: true },
    f32: { file: f32, flashAttention: false },
    q4_0: { file: chat('q4_0'), flashAttention: false },
  } as const satisfies Record<string, Arithmetic>;
  type ClassName = keyof typeof classes;

  const network = await startNetwork();
  try {
    const page = await network.examPage();
    const say = (text: string) => console.log(`${Math.round((performance.now() - startedAt) / 1000)} s: ${text}`);
    const load = async ({ file, flashAttention }: Arithmetic, contextTokens: number, threads = 1) => {
      await page.setInputFiles('#weights', file);
      await page.evaluate((options) => window.exam.loadFile(options), {
        contextTokens,
        threads,
        batchTokens: 64,
        embeddings: false,
        flashAttention,
      });
    };

    const write = async (
      population: string,
      claimed: number,
      indexes: readonly number[],
      temperature = claimed,
      seedsFrom = 0,
    ): Promise<Answer[]> => {
      const answers: Answer[] = [];
      for (const prompt of indexes) {
        const sampling = completeSampling(model, { temperature, seed: seedsFrom + prompt, maxTokens: TOKENS });
        const { texts, finishes } = await page.evaluate(([p, s]) => window.exam.generateAll([p], s), [
          renderedPrompt(prompt),
          sampling,
        ] as const);
        const [text = ''] = texts;
        answers.push({ population, prompt, temperature: claimed, text, finish: finishes[0] ?? 'stop' });
      }
      return answers;
    };

    const everyone = questions.map((_, index) => index);
    const written = new Map<ClassName, readonly Answer[]>();
    const dishonest: Answer[] = [];
    for (const name of ['q4_0', 'flash', 'f32', 'exact'] as const) {
      await load(classes[name], model.contextTokens);
      const population = name === 'exact' ? 'honest' : `honest-${name}`;
      const indexes = name === 'exact' ? everyone : attacked;
      written.set(name, [...(await write(population, 0, indexes)), ...(await write(population, TEMPERATURE, indexes))]);
      say(`${name} wrote`);
    }
    dishonest.push(
      ...(await write('hotter', 0, attacked, TEMPERATURE)),
      ...(await write('hotter', TEMPERATURE, attacked, 1.3)),
      ...(await write('greedy', TEMPERATURE, attacked, 0)),
      ...(await write('own seed', TEMPERATURE, attacked, TEMPERATURE, OWN_SEEDS_FROM)),
    );
    const honest = written.get('exact') ?? [];
    const coarser = written.get('q4_0') ?? [];
    const isAttacked = ({ prompt }: Pick<Answer, 'prompt'>) => prompt % ATTACKED_EVERY === 0;
    const at = (answers: readonly Answer[], { prompt, temperature }: Pick<Answer, 'prompt' | 'temperature'>) =>
      answers.find((answer) => answer.prompt === prompt && answer.temperature === temperature)?.text ?? '';
    dishonest.push(
      ...coarser
        .filter(({ prompt }) => prompt % ATTACKED_EVERY === 0)
        .map((answer) => ({ ...answer, population: 'q4_0' })),
    );
    for (const answer of honest.filter(isAttacked)) {
      const { prompt, temperature, text } = answer;
      const other = attacked[(attacked.indexOf(prompt) + Math.floor(attacked.length / 2)) % attacked.length] ?? 0;
      const lie = (population: string, forged: string, finish: Answer['finish'] = answer.finish) =>
        dishonest.push({ population, prompt, temperature, text: forged, finish });
      lie('edited', edited(text, prompt));
      lie('advertisement', withAdvertisement(text), 'stop');
      lie('link', withLink(text), 'stop');
      lie('truncated', truncated(text), 'stop');
      lie('looping', looping(text));
      lie('other prompt', at(honest, { prompt: other, temperature }), 'stop');
      lie('garbage', garbage(text, prompt));
    }

    const probes: ProbeRow[] = [];
    const read = async (checker: string, answers: readonly Answer[]) => {
      const decoded = await page.evaluate(
        (requests) => window.exam.forceAll(requests),
        answers.map(({ prompt, text }) => ({ prompt: renderedPrompt(prompt), answer: text })),
      );
      for (const [i, answer] of answers.entries()) {
        const tokens = decoded[i];
        if (tokens === undefined || tokens === null) {
          say(`${checker} cannot read ${answer.population} ${answer.prompt}`);
          continue;
        }
        const row = probeRow(answer, tokens, checker, at(honest, answer));
        if (row !== null) probes.push(row);
      }
      say(`${checker} read ${answers.length}`);
    };
    await load(classes.exact, model.contextTokens);
    // The other direction, another arithmetic writing and this one reading, on fewer prompts: the difference is the same.
    const others = [...(written.get('flash') ?? []), ...(written.get('f32') ?? [])];
    await read('exact', [...honest.filter(isAttacked), ...others]);
    await load(classes.flash, model.contextTokens);
    await read('flash', honest);
    await load(classes.q4_0, model.contextTokens);
    await read('q4_0', [...honest, ...dishonest.filter(({ population }) => population !== 'q4_0')]);
    await load(classes.f32, model.contextTokens);
    await read('f32', [...honest, ...dishonest]);

    const texts: TextRow[] = [...honest, ...dishonest]
      .filter(({ temperature }) => temperature === 0)
      .map(({ population, prompt, finish, text }) => ({ population, prompt, finish, text }));
    for (const prompt of attacked) {
      texts.push({ population: 'foreign', prompt, finish: 'stop', text: foreign(prompt) });
      texts.push({ population: 'echo', prompt, finish: 'stop', text: questions[prompt]?.text ?? '' });
    }

    const rubric: RubricRow[] = [];
    const judge = async (
      name: keyof typeof JUDGED_EVERY,
      threads: number,
      message: (content: string) => string,
    ): Promise<void> => {
      const asked = texts.filter(
        ({ population, prompt }) => JUDGED.has(population) && prompt % JUDGED_EVERY[name] === 0,
      );
      for (const { population, prompt, text } of asked) {
        const answers = await page.evaluate(
          (requests) => window.exam.probeAll(requests),
          RUBRIC_QUESTIONS.map((question) => ({
            text: message(rubricMessage(questions[prompt]?.text ?? '', text, question)),
            choices: RUBRIC_CHOICES,
          })),
        );
        const margins = answers.map((answer) => yesMargin([answer?.choices[0] ?? 0, answer?.choices[1] ?? 0]));
        rubric.push({ judge: name, population, prompt, margins: margins.map((margin) => Number(margin.toFixed(3))) });
      }
      say(`${name} judged ${asked.length}, with ${threads} threads`);
    };
    const smol = resolve(values.models, 'SmolLM2-135M-Instruct.Q4_1.gguf');
    if (!values.probes) {
      await load(classes.exact, model.contextTokens);
      await judge('pup', 1, (content) => renderer.render([{ role: 'user', content }]));
      if (existsSync(smol)) {
        await load({ file: smol, flashAttention: false }, 1024, 2);
        await judge('smollm2-135m', 2, (content) => `<|im_start|>user\n${content}<|im_end|>\n<|im_start|>assistant\n`);
      } else say(`SKIPPED the judge of 135 M parameters: ${smol} is not there.`);
    }

    const sampled = [...honest, ...dishonest].filter(
      ({ temperature, prompt }) => temperature === TEMPERATURE && prompt % ATTACKED_EVERY === 0,
    );
    const miniLm = resolve(values.models, 'all-MiniLM-L6-v2.q8_0.gguf');
    const table = toBytes(await readFile(join(EMBEDDED_MODELS, 'sentence-embedding', 'shoal-embed-64.bin')));
    const { embed } = readSentenceEmbedding(table);
    const own = (answer: Answer) => at(coarser, answer);
    const needed = sampled.flatMap((answer) => [answer.text, own(answer), questions[answer.prompt]?.text ?? '']);
    const large = values.probes
      ? new Map<string, Float32Array>()
      : await largeVectors(page, miniLm, [...new Set(needed)]);
    if (large.size === 0 && !values.probes) say(`SKIPPED the large embedding: ${miniLm} is not there.`);
    const similarity = sampled.map((answer): SimilarityRow => {
      const question = questions[answer.prompt]?.text ?? '';
      const small = (a: string, b: string) => cosine(embed(a), embed(b)) ?? 0;
      const wide = (a: string, b: string) => {
        const [x, y] = [large.get(a), large.get(b)];
        return x === undefined || y === undefined ? null : cosine(x, y);
      };
      return {
        population: answer.population,
        prompt: answer.prompt,
        same: answer.text === at(honest, answer) ? 1 : 0,
        own64: small(answer.text, own(answer)),
        prompt64: small(answer.text, question),
        ownMiniLm: wide(answer.text, own(answer)),
        promptMiniLm: wide(answer.text, question),
      };
    });
    say('similarity done');

    if (values.prompts === undefined) {
      await writeCollection({
        probes,
        texts,
        ...(large.size > 0 && { similarity }),
        ...(rubric.length > 0 && { rubric }),
      });
    }
    console.log(
      JSON.stringify({
        name: 'calibrate-collect',
        browser: network.browser.browser.version(),
        cpu: cpus()[0]?.model ?? 'unknown',
        prompts: questions.length,
        decodes: probes.length,
        similarities: similarity.length,
        judgements: rubric.length,
        seconds: Math.round((performance.now() - startedAt) / 1000),
        written: values.prompts === undefined,
      }),
    );
  } finally {
    await network.stop();
  }
});

function probeRow(answer: Answer, tokens: readonly ForcedToken[], checker: string, honest: string): ProbeRow | null {
  // Where the length ended the answer, its end was not the tab's word.
  const claimed = answer.finish === 'stop' ? tokens : tokens.slice(0, -1);
  const greedy = greedyStatistics(claimed.map(greedyProbe));
  if (greedy === null) return null;
  const sampling = { temperature: answer.temperature, topP: 0.95 };
  const isSampled = answer.temperature > 0;
  const sampled = isSampled ? sampledStatistics(claimed.map((token) => sampledProbe(token, sampling))) : null;
  const seeded = isSampled ? seededStatistics(claimed, sampling, answer.prompt) : null;
  const guesses = guessesAlong(answer.text, tokens);
  return {
    population: answer.population,
    prompt: answer.prompt,
    temperature: answer.temperature,
    checker,
    same: answer.text === honest ? 1 : 0,
    positions: greedy.positions,
    meanGap: greedy.meanGap,
    largestGap: greedy.largestGap,
    outside: greedy.outside,
    z: sampled?.z ?? null,
    largestSurprise: sampled?.largestSurprise ?? null,
    undrawable: sampled?.outside ?? null,
    meanDistance: seeded?.meanDistance ?? null,
    strayed: seeded?.strayed ?? null,
    ...guesses,
  };
}

/** What blind guesses at the cuts would have scored. A cut inside a token of the decode is left out. */
function guessesAlong(text: string, tokens: readonly ForcedToken[]): Pick<ProbeRow, 'cuts' | 'first' | 'among'> {
  const starts = new Map<number, ForcedToken>();
  let at = 0;
  for (const token of tokens) {
    starts.set(at, token);
    at += token.text.length;
  }
  const ranks = chunkCuts(text).flatMap((cut) => {
    const token = starts.get(cut);
    const candidates = token?.candidates.slice(0, GUESS_CANDIDATES).map((candidate) => candidate.text);
    return candidates === undefined ? [] : [rankOf(candidates, text.slice(cut))];
  });
  return {
    cuts: ranks.length,
    first: ranks.filter((rank) => rank === 0).length,
    among: ranks.filter((rank) => rank !== null).length,
  };
}

/** Vectors of all-MiniLM-L6-v2; none when the file is not there. */
async function largeVectors(page: Page, file: string, texts: readonly string[]): Promise<Map<string, Float32Array>> {
  if (!existsSync(file)) return new Map();
  await page.setInputFiles('#weights', file);
  await page.evaluate(() =>
    window.exam.loadFile({ contextTokens: 512, threads: 1, batchTokens: 512, embeddings: true, flashAttention: false }),
  );
  const vectors = await page.evaluate((all) => window.exam.embedAll(all), texts);
  return new Map(texts.flatMap((text, i) => (vectors[i] ? [[text, Float32Array.from(vectors[i])] as const] : [])));
}
