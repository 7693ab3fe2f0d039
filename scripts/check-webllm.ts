import './require-node.ts';
import * as v from 'valibot';
import { receipt as receiptSchema } from '../shared/receipt/receipt.ts';
import { verifyReceipt } from '../shared/receipt/verify.ts';
import { parsePayload, type Signed } from '../shared/signing/signed-statement.ts';
import type {} from '../web-miner/testing/exam.ts'; // Declares what the exam page puts on its window.
import { GPU_FLAGS, SOFTWARE_GPU_FLAGS } from './browser/gpu-flags.ts';
import { buildAll } from './build.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { startNetwork } from './testing/running-network.ts';

/** One answer of a graphics processor through the whole network: router, a tab with web-llm, an OpenAI client, and a receipt that holds. */

const USAGE = `npm run check:webllm -- --model NAME    a model for graphics processors that was added: npm run models -- add FOLDER --name NAME

  --tokens   tokens to write (2)
  --prompt   (Hi)
  --gpu      this machine's graphics processor, instead of one that the browser imitates`;

/** An imitated GPU takes minutes for a prompt. */
const STEP_DEADLINE_MS = 900_000;
const RECEIPT_DEADLINE_MS = 60_000;

const completion = v.object({
  id: v.string(),
  choices: v.tuple([v.object({ message: v.object({ content: v.string() }) })]),
  usage: v.record(v.string(), v.unknown()),
});

const { values } = readArguments(USAGE, {
  model: { type: 'string', default: '' },
  tokens: { type: 'string', default: '2' },
  prompt: { type: 'string', default: 'Hi' },
  gpu: { type: 'boolean', default: false },
});

async function signedReceipt(url: string, task: string): Promise<Signed> {
  for (const until = performance.now() + RECEIPT_DEADLINE_MS; performance.now() < until; ) {
    const response = await fetch(`${url}/v1/receipts/${task}`);
    if (response.ok) return (await response.json()) as Signed;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new CommandError('The router signed no receipt.');
}

await runCommand(async () => {
  if (values.model === '') throw new CommandError(USAGE);
  await buildAll(true);
  const network = await startNetwork({ flags: values.gpu ? GPU_FLAGS : SOFTWARE_GPU_FLAGS });
  const startedAt = performance.now();
  const seconds = () => Math.round((performance.now() - startedAt) / 100) / 10;
  const watch = { phase: '' };
  try {
    const page = await network.examPage();
    const timer = setInterval(() => {
      page
        .evaluate(() => window.exam.phase?.phase ?? 'starting')
        .then(
          (phase) => {
            if (phase !== watch.phase) console.log(`${seconds()} s: ${phase}`);
            watch.phase = phase;
          },
          () => undefined,
        );
    }, 1000);
    try {
      await page.evaluate(([model, ms]) => window.exam.lendWebLlm(model, ms), [
        values.model,
        STEP_DEADLINE_MS,
      ] as const);
    } finally {
      clearInterval(timer);
    }
    const servingAfterS = seconds();
    console.log(`${servingAfterS} s: serves`);
    const response = await fetch(`${network.router.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: values.model,
        max_tokens: Number(values.tokens),
        messages: [{ role: 'user', content: values.prompt }],
      }),
    });
    if (!response.ok) throw new CommandError(`The router answered ${response.status}: ${await response.text()}`);
    const answer = v.parse(completion, await response.json());
    const answeredAfterS = seconds();
    console.log(`${answeredAfterS} s: ${JSON.stringify(answer.choices[0].message.content)}`);
    const statement = await signedReceipt(network.router.url, answer.id);
    const { problems } = await verifyReceipt(statement, { routerKey: network.routerKey });
    const receipt = parsePayload('receipt', receiptSchema, statement);
    console.log(
      JSON.stringify({
        name: 'check-webllm',
        model: values.model,
        class: receipt.class,
        usage: answer.usage,
        verdict: receipt.verdict,
        problems,
        servingAfterS,
        answeredAfterS,
      }),
    );
    process.exitCode = problems.length === 0 ? 0 : 1;
  } finally {
    await network.stop();
  }
});
