import './require-node.ts';
import { chatFormOf, servedVariants, variantsNamed } from '../shared/classes/catalogue.ts';
import type { Completion } from '../shared/sealed-task/completion.ts';
import { buildAll } from './build.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { type RunningNetwork, startNetwork } from './testing/running-network.ts';

/**
 * What an audit costs beside the answer itself: the network answers, then one engine in one page writes every answer once with nothing around it and audits it once
 * (verification of the receipt, digests, writing again, comparison), in turns, round after round. Loading the model is stated apart. Exit status 0 only when every
 * audit agrees.
 */

const USAGE = 'npm run bench:audit [-- --model NAME:VARIANT --answers N --tokens N --rounds N]';
const { values } = readArguments(USAGE, {
  model: { type: 'string', default: 'shoal-pup-3m:q8_0' },
  answers: { type: 'string', default: '12' },
  tokens: { type: 'string', default: '120' },
  rounds: { type: 'string', default: '6' },
});

/** The goal for audit time ÷ generation time. */
const GOAL = 1.1;

const QUESTIONS = [
  'How do I make a cup of tea?',
  'Tell me a story about a robot and a friend.',
  'Explain why the sky is blue, in two sentences.',
  'List five things to pack for a walk in the rain.',
];

interface SavedExchange {
  readonly receipt: unknown;
  readonly transcript: { readonly request: object; readonly response: Completion };
}

/** Answers of a tab that serves by the network, with their receipts: half of them greedy, half sampled. */
async function answersOf(network: RunningNetwork, model: string, count: number): Promise<SavedExchange[]> {
  const [tab] = await network.lend(1, { direct: false, model });
  const saved: SavedExchange[] = [];
  for (let index = 0; index < count; index++) {
    const request = {
      model,
      messages: [{ role: 'user', content: `${index + 1}. ${QUESTIONS[index % QUESTIONS.length]}` }],
      temperature: index % 2 === 0 ? 0 : 0.8,
      seed: index,
      max_tokens: Number(values.tokens),
      shoal: { level: 'none' },
    };
    const response = await fetch(`${network.router.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request),
    });
    if (!response.ok) throw new Error(`the router answered ${response.status}`);
    const completion = (await response.json()) as Completion;
    saved.push({ receipt: await receiptOf(network, completion), transcript: { request, response: completion } });
  }
  await tab?.context().close();
  return saved;
}

async function receiptOf(network: RunningNetwork, { shoal }: Completion): Promise<unknown> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const response = await fetch(`${network.router.url}/v1/receipts/${shoal.receipt}`);
    if (response.ok) return response.json();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('there is no receipt');
}

async function bench(): Promise<void> {
  const [served] = variantsNamed(await servedVariants(await buildAll(true)), values.model);
  if (served === undefined) throw new CommandError(`There is no model '${values.model}'.`);
  const { model, variant } = served;
  const network = await startNetwork();
  try {
    const saved = await answersOf(network, `${model.id}:${variant.id}`, Number(values.answers));
    const page = await network.examPage();
    const loadFrom = performance.now();
    await page.evaluate(([entry, options]) => window.exam.loadEngine(entry, options), [
      variant,
      { contextTokens: model.contextTokens, threads: 1, batchTokens: null },
    ] as const);
    const loadMs = performance.now() - loadFrom;
    // Once without a clock: the engine's first words are slow.
    await page.evaluate(([all, chat, key]) => window.exam.timeAudits(all, chat, key, false), [
      saved,
      chatFormOf(model),
      network.routerKey,
    ] as const);
    const rounds: { generateMs: number; verifyMs: number; auditMs: number; agreed: number }[] = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      rounds.push(
        await page.evaluate(([all, chat, key, auditsFirst]) => window.exam.timeAudits(all, chat, key, auditsFirst), [
          saved,
          chatFormOf(model),
          network.routerKey,
          round % 2 === 1,
        ] as const),
      );
    }
    const sum = (pick: (round: (typeof rounds)[number]) => number) => rounds.reduce((all, one) => all + pick(one), 0);
    const generateMs = sum((round) => round.generateMs);
    const auditMs = sum((round) => round.auditMs);
    const ratios = rounds.map((round) => round.auditMs / round.generateMs);
    const tokens = saved.reduce((all, { transcript }) => all + transcript.response.usage.completion_tokens, 0);
    const agreed = sum((round) => round.agreed);
    const audits = saved.length * rounds.length;
    const [least, most] = [Math.min(...ratios), Math.max(...ratios)];
    console.log(`${saved.length} answers, ${tokens} tokens, ${rounds.length} rounds; the model was loaded in ${ms(loadMs)}.
written by the engine alone   ${ms(generateMs / rounds.length)} a round
audited                       ${ms(auditMs / rounds.length)} a round, ${ms(sum((round) => round.verifyMs) / rounds.length)} of it without the engine
audit ÷ generation            ${(auditMs / generateMs).toFixed(3)} (rounds: ${least.toFixed(3)} to ${most.toFixed(3)}; goal ≤ ${GOAL})
agreed                        ${agreed} of ${audits}`);
    console.log(
      JSON.stringify({
        name: 'bench-audit',
        model: `${model.id}:${variant.id}`,
        browser: network.browser.browser.version(),
        answers: saved.length,
        tokens,
        rounds: rounds.length,
        loadMs: Math.round(loadMs),
        generateMs: Math.round(generateMs),
        auditMs: Math.round(auditMs),
        ratio: Number((auditMs / generateMs).toFixed(4)),
        goal: GOAL,
        agreed,
        audits,
      }),
    );
    process.exitCode = agreed === audits ? 0 : 1;
  } finally {
    await network.stop();
  }
}

function ms(value: number): string {
  return value < 10_000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(1)} s`;
}

await runCommand(bench);
