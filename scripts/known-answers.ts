import './require-node.ts';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { completeSampling } from '../router-worker/models/complete-sampling.ts';
import type { KnownAnswer } from '../router-worker/network-tasks/known-answers.ts';
import { newQuestion } from '../router-worker/network-tasks/questions.ts';
import { chatFormOf, servedVariants } from '../shared/classes/catalogue.ts';
import { promptRenderer } from '../web-miner/engine/render-prompt.ts';
import { buildAll } from './build.ts';
import { ROOT } from './paths.ts';
import { startNetwork } from './testing/running-network.ts';

/**
 * Makes the published answers of the models that ship with the project, by which a new tab proves that it computes as its class does. To be run again,
 * on a machine that is trusted, when the engine, the models or the questions change: the classes are then others.
 */

const FILE = join(ROOT, 'router-worker', 'network-tasks', 'known-answers.json');

/** Shorter answers say little about a device. */
const LEAST_CHARACTERS = 80;

const { values } = parseArgs({
  options: { model: { type: 'string', default: 'shoal-pup-3m' }, count: { type: 'string', default: '40' } },
});

/** A small generator with a fixed start (Park and Miller, 1988): the same questions each time. */
function fixedRandom(): () => number {
  let state = 20_261;
  return () => {
    state = (state * 48_271) % 0x7fff_ffff;
    return state / 0x7fff_ffff;
  };
}

const network = await startNetwork();
const byClass: Record<string, KnownAnswer[]> = {};
try {
  const page = await network.examPage();
  for (const { model, variant, class: id } of await servedVariants(await buildAll(true))) {
    if (model.id !== values.model) continue;
    const renderer = promptRenderer(chatFormOf(model));
    const random = fixedRandom();
    await page.evaluate(([entry, options]) => window.exam.loadEngine(entry, options), [
      variant,
      { contextTokens: model.contextTokens, threads: 1, batchTokens: null },
    ] as const);
    const answers: KnownAnswer[] = [];
    while (answers.length < Number(values.count)) {
      const question = newQuestion(random);
      const prompt = renderer.render([{ role: 'user', content: question.prompt }]);
      const written = await page.evaluate(([text, fixed]) => window.exam.generateOne(text, fixed), [
        prompt,
        completeSampling(model, { topP: 1, ...question.sampling }),
      ] as const);
      if (written.text.length >= LEAST_CHARACTERS) answers.push({ question, ...written });
    }
    byClass[id] = answers;
    console.log(`${model.id}:${variant.id}: ${answers.length} answers, class ${id}`);
  }
  await writeFile(FILE, `${JSON.stringify(byClass, null, 1)}\n`);
  console.log(
    JSON.stringify({ name: 'known-answers', classes: Object.keys(byClass).length, answers: Number(values.count) }),
  );
} finally {
  await network.stop();
}
