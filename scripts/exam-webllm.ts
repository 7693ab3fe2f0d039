import './require-node.ts';
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type ExamNeed, examWithout } from '../web-miner/engine/engine-exam.ts';
import type {} from '../web-miner/testing/exam.ts'; // Declares what the exam page puts on its window.
import { GPU_FLAGS, SOFTWARE_GPU_FLAGS } from './browser/gpu-flags.ts';
import { launchBrowser } from './browser/launch-browser.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { withModelSource } from './models/model-source.ts';
import { MLC_LIBRARY } from './models/read-mlc.ts';
import { EXAM_FLAGS, openExamPage } from './testing/running-network.ts';

/** web-llm sits the engines' exam, in a real browser under the pages' own security policy, where a WebGPU adapter and a model are at hand. */

const USAGE = `npm run exam:webllm -- --model FOLDER_OR_URL    web-llm sits the exam of the engines

  --model            an MLC folder with its library as model-lib.wasm (SHOAL_WEBLLM_MODEL); or where one lies, an address with / at
                     its end; or a known name (npm run models -- known)
  --library          file or address of the compiled library, where the address has none
  --accept-licence   of a known model whose terms must be read
  --random-weights   the folder holds noise: leaves out, by name, what only a trained model can show
  --gpu              this machine's graphics processor, instead of one that the browser imitates
  --only TEXT        cases with this in their titles; may be given more than once`;

/** On an imitated GPU a token takes half a minute: one word of prompt, and a token or two are written. */
const SLOW = {
  contextTokens: 128,
  prompt: 'Hello',
  lengths: { few: 1, some: 1, many: 2, whole: 2 },
  stepDeadlineMs: 900_000,
} as const;
const FAST = {
  contextTokens: 512,
  prompt: 'Tell me a long story about a robot and friendship.\n',
  stepDeadlineMs: 60_000,
};

const { values } = readArguments(USAGE, {
  model: { type: 'string', default: process.env.SHOAL_WEBLLM_MODEL ?? '' },
  library: { type: 'string' },
  'accept-licence': { type: 'boolean', default: false },
  'random-weights': { type: 'boolean', default: false },
  gpu: { type: 'boolean', default: false },
  only: { type: 'string', multiple: true, default: [] },
});

/** Loud, and no failure: the exam needs what most machines lack. */
function skip(reason: string): void {
  console.log(`SKIPPED: ${reason} web-llm did not sit the exam.`);
  console.log(JSON.stringify({ name: 'exam-webllm', skipped: reason }));
}

await runCommand(async () => {
  if (values.model === '') return skip('No model was named (--model or SHOAL_WEBLLM_MODEL).');
  await withFiles(values.model, sit);
});

/** Hands over the paths of a model's files, wherever it is. Each is named as the engine looks for it. */
async function withFiles(source: string, use: (paths: readonly string[]) => Promise<void>): Promise<void> {
  if ((await stat(source).catch(() => null))?.isDirectory()) {
    const names = await readdir(source);
    if (!names.includes(MLC_LIBRARY)) throw new CommandError(`${source} has no ${MLC_LIBRARY}.`);
    return use(names.map((name) => join(source, name)));
  }
  const options = { library: values.library ?? null, acceptLicence: values['accept-licence'] };
  await withModelSource(source, options, console.log, ({ facts, files }) => {
    if (facts.format !== 'mlc') throw new CommandError(`${source} is no MLC model: web-llm runs no other.`);
    const other = files.find(({ name, path }) => basename(path) !== name);
    if (other !== undefined)
      throw new CommandError(`Name the file ${other.path} ${other.name}: the engine looks for that.`);
    return use(files.map(({ path }) => path));
  });
}

async function sit(paths: readonly string[]): Promise<void> {
  const flags = [...EXAM_FLAGS, ...(values.gpu ? GPU_FLAGS : SOFTWARE_GPU_FLAGS)];
  const browser = await launchBrowser(console.log, flags);
  try {
    const page = await openExamPage(browser, 'http://localhost:1');
    const gpu = await page.evaluate(() => window.exam.gpu());
    if (gpu === null) return skip('This browser offers no WebGPU adapter.');
    console.log(gpu.text);
    await page.setInputFiles('#weights', [...paths]);
    const lacking: ExamNeed[] = [
      'embeddings',
      'exact',
      ...(values['random-weights'] ? (['sense'] as const) : []),
      ...(gpu.isSoftware ? (['room'] as const) : []),
    ];
    const { sits, leftOut } = examWithout(lacking);
    for (const { title, needs = [] } of leftOut) {
      console.log(`left out (${needs.filter((need) => lacking.includes(need)).join(', ')}): ${title}`);
    }
    const subject = gpu.isSoftware ? SLOW : FAST;
    const startedAt = performance.now();
    const failed: string[] = [];
    const asked = sits.filter(
      ({ title }) => values.only.length === 0 || values.only.some((part) => title.includes(part)),
    );
    for (const { title } of asked) {
      const from = performance.now();
      const verdict = await page.evaluate(([name, part]) => window.exam.runWebLlmCase(name, part), [
        title,
        subject,
      ] as const);
      if (verdict !== null) failed.push(title);
      const seconds = ((performance.now() - from) / 1000).toFixed(1).padStart(6);
      console.log(
        `${verdict === null ? 'passed' : 'FAILED'} ${seconds} s  ${title}${verdict === null ? '' : `: ${verdict}`}`,
      );
    }
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    const adapter = `${gpu.vendor} ${gpu.architecture}`;
    console.log(
      JSON.stringify({ name: 'exam-webllm', adapter, sat: asked.length, failed, leftOut: leftOut.length, seconds }),
    );
    process.exitCode = failed.length === 0 ? 0 : 1;
  } finally {
    await browser.close();
  }
}
