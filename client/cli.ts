import { parseArgs } from 'node:util';
import * as v from 'valibot';
import type { Receipt } from '../shared/receipt/receipt.ts';
import { tokenCountOf } from '../shared/receipt/token-count.ts';
import type { ReceiptVerification } from '../shared/receipt/verify.ts';
import { signed } from '../shared/signing/signed-statement.ts';
import { publishedKey, readJson, withKeysJoined } from './command-input.ts';
import { watchLog } from './log-command.ts';
import { type LogStanding, standingInLog } from './log-standing.ts';
import { RouterCalls } from './router-calls.ts';
import { verifyReceipt } from './verify-receipt.ts';

const USAGE = `shoal verify FILE [--router URL] [--key KEY] [--no-log]

Verifies a receipt: signatures, commitment, whether the verdict follows from what the tabs signed, and whether the receipt is
in its router's public log.

  FILE           a receipt as GET /v1/receipts/ID gives it; - reads standard input
  --key KEY      the router's Ed25519 key that you trust (base64url); without --router: offline
  --router URL   takes the key from this router's /.well-known/shoal.json, and asks its log
                 (default: the router that the receipt names)
  --no-log       does not ask the log

shoal log --router URL [--key KEY] [--since HEAD] [--save HEAD] [--entries]

Reads the head of a router's log of receipts, and whether the log only grew.

  --since HEAD   a file with an earlier head: the log must begin with the same entries
  --save HEAD    writes the head to this file
  --entries      reads all entries, and computes the root from them

shoal audit RECEIPT TRANSCRIPT

Has a browser on this machine write the answer again: shoal audit --help`;

/** Exit status: 0 it holds, 1 it does not, 2 it could not be read or the words were wrong. */
export async function main(args: readonly string[]): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (cause) {
    console.error(`${cause instanceof Error ? cause.message : cause}\n\n${USAGE}`);
    return 2;
  }
  const { values } = parsed;
  if (values.help === true) {
    console.log(USAGE);
    return 0;
  }
  const [command, file] = parsed.positionals;
  try {
    if (command === 'verify' && file !== undefined) return await verify(file, values);
    if (command === 'log' && values.router !== undefined) return await watchLog({ ...values, router: values.router });
  } catch (cause) {
    console.error(cause instanceof Error ? cause.message : String(cause));
    return 2;
  }
  console.error(USAGE);
  return 2;
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: withKeysJoined(args),
    allowPositionals: true,
    options: {
      key: { type: 'string' },
      router: { type: 'string' },
      'no-log': { type: 'boolean' },
      since: { type: 'string' },
      save: { type: 'string' },
      entries: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

interface VerifyOptions {
  readonly key?: string | undefined;
  readonly router?: string | undefined;
  readonly 'no-log'?: boolean | undefined;
}

async function verify(file: string, options: VerifyOptions): Promise<number> {
  const content = await readJson(file);
  const routerKey = options.key ?? (await publishedKey(content, options.router));
  const result = await verifyReceipt(content, { routerKey });
  report(result, options.key === undefined);
  if (!result.valid || result.receipt === null) return 1;
  const router = options.router ?? (options.key === undefined ? result.receipt.network : null);
  if (router === null || options['no-log'] === true) {
    console.log('The log was not asked whether it has this receipt.');
    return 0;
  }
  const calls = new RouterCalls(router, fetch);
  const standing = await standingInLog(v.parse(signed, content), result.receipt.endedAt, calls, routerKey);
  console.log(tellStanding(standing));
  return standing.standing === 'missing' ? 1 : 0;
}

function tellStanding(standing: LogStanding): string {
  switch (standing.standing) {
    case 'logged':
      return `It is entry ${standing.index + 1} of ${standing.size} in the log whose head the router signed at ${new Date(standing.at).toISOString()}.`;
    case 'not_yet':
      return 'It is not in the log yet: the task has just ended. Ask again in a few minutes.';
    case 'missing':
      return `NOT IN THE LOG\n  ${standing.problem}\n  A receipt that stays out of the log was kept out: show it to others.`;
  }
}

function tokensOf(receipt: Receipt): string {
  const count = tokenCountOf(receipt)?.completion;
  if (count === undefined) return 'none';
  const recounted =
    count.recounted === null ? 'counted again by nobody' : `${count.recounted} by those who wrote the same`;
  return `${count.claimed} by the tab's word, ${recounted}; ${count.counted} count`;
}

const DISCARDED = 'the router itself threw the answer away';

/** The sum and its rule, as it was worked out again from what the tabs signed. */
function priceOf({ price, level }: Receipt): string {
  if (price == null) return 'not told';
  const { charged, held, returned, tokens, perToken, percent, sla, discarded } = price;
  const rule = `(${tokens.prompt} + ${tokens.completion}) tokens × ${perToken} × ${percent.level} % (${discarded ? DISCARDED : `level ${level}`}) × ${percent.sla} % (class ${sla})`;
  return `${charged} micro-credits: ${rule}; ${held} were set aside, ${returned} returned`;
}

const INDEPENDENCE = {
  key: 'another key',
  owner: 'another key and owner',
  network: 'another key and network',
} as const;

function report({ valid, problems, receipt }: ReceiptVerification, keyFromRouter: boolean): void {
  if (!valid) {
    console.log('REFUSED');
    for (const problem of problems) console.log(`  ${problem}`);
    return;
  }
  if (receipt === null) return;
  const { verdict } = receipt;
  console.log(`The receipt holds.
  task      task_${receipt.task}
  network   ${receipt.network}
  model     ${receipt.model}:${receipt.variant} (${receipt.class ?? 'no class'})
  outcome   ${receipt.outcome.value}
  verdict   ${verdict.value === 'unchecked' ? `unchecked (${verdict.reason})` : `${verdict.value}, by ${verdict.method}: ${verdict.agree} agreed, ${verdict.differ} differed`}
  drawn     ${receipt.draw === null ? 'nobody' : `${receipt.draw.drawn} of ${receipt.draw.candidates.length} candidates, in the order of the draw`}
  answered  ${receipt.readers.find(({ role }) => role === 'answer')?.key ?? 'nobody'} (${receipt.standing}, by the router's word)
  checked   ${receipt.checks.map((check) => `${check.checker} (${INDEPENDENCE[check.independence]}; ${check.reveal === null ? 'did not finish' : 'finished'})`).join(', ') || 'by nobody'}
  tokens    ${tokensOf(receipt)}
  price     ${priceOf(receipt)}
  readers   ${receipt.readers.map((reader) => reader.role).join(', ')}
It does not prove that the tabs belong to different people, nor that the router named every tab that could have checked.`);
  if (keyFromRouter)
    console.log('The key came from the router itself: give --key to check against one that you trust.');
}
