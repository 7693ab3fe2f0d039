import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { completeSampling } from '../../router-worker/models/complete-sampling.ts';
import type { KnownAnswer } from '../../router-worker/network-tasks/known-answers.ts';
import { type Catalogue, servedVariants } from '../../shared/classes/catalogue.ts';
import { SELF_TESTS_PATH, type SelfTests } from '../../shared/classes/self-tests.ts';
import { DIST, ROOT } from '../paths.ts';

const PUBLISHED = join(ROOT, 'router-worker', 'network-tasks', 'known-answers.json');

/** Of a class: a tab asks itself one at a time, and knows all that are published anyway. */
const QUESTIONS = 4;

/** Puts some of the published answers where tabs find them. */
export async function placeSelfTests(catalogue: Catalogue): Promise<void> {
  const published = JSON.parse(await readFile(PUBLISHED, 'utf8')) as Record<string, readonly KnownAnswer[]>;
  const classes: SelfTests['classes'] = {};
  for (const { model, class: id } of await servedVariants(catalogue)) {
    // The shortest: somebody waits for them.
    const known = published[id]?.toSorted((a, b) => a.text.length - b.text.length).slice(0, QUESTIONS);
    if (known === undefined) continue;
    classes[id] = known.map(({ question, text }) => ({
      prompt: question.prompt,
      sampling: completeSampling(model, { topP: 1, ...question.sampling }),
      text,
    }));
  }
  const file = join(DIST, SELF_TESTS_PATH);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, JSON.stringify({ v: 1, classes } satisfies SelfTests));
}
