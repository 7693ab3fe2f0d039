import { parseArgs } from 'node:util';
import type { ReceiptVerification } from '../shared/receipt/verify.ts';
import { publishedKey, readJson, withKeysJoined } from './command-input.ts';
import { verifyReceipt } from './verify-receipt.ts';

const USAGE = `shoal verify FILE [--router URL | --key KEY]

Verifies a receipt: signatures, commitment, and whether the verdict follows from what the tabs signed.

  FILE           a receipt as GET /v1/receipts/ID gives it; - reads standard input
  --key KEY      the router's Ed25519 key that you trust (base64url): offline
  --router URL   takes the key from this router's /.well-known/shoal.json
                 (default: the router that the receipt names)

shoal audit RECEIPT TRANSCRIPT

Has a browser on this machine write the answer again: shoal audit --help`;

/** Exit status: 0 the receipt holds, 1 it does not, 2 it could not be read or the words were wrong. */
export async function main(args: readonly string[]): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (cause) {
    console.error(`${cause instanceof Error ? cause.message : cause}\n\n${USAGE}`);
    return 2;
  }
  if (parsed.values.help === true) {
    console.log(USAGE);
    return 0;
  }
  const [command, file] = parsed.positionals;
  if (command !== 'verify' || file === undefined) {
    console.error(USAGE);
    return 2;
  }
  try {
    return await verify(file, parsed.values);
  } catch (cause) {
    console.error(cause instanceof Error ? cause.message : String(cause));
    return 2;
  }
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: withKeysJoined(args),
    allowPositionals: true,
    options: { key: { type: 'string' }, router: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
}

async function verify(
  file: string,
  options: { readonly key?: string | undefined; readonly router?: string | undefined },
): Promise<number> {
  const content = await readJson(file);
  const routerKey = options.key ?? (await publishedKey(content, options.router));
  const result = await verifyReceipt(content, { routerKey });
  report(result, options.key === undefined);
  return result.valid ? 0 : 1;
}

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
  verdict   ${verdict.value === 'unchecked' ? `unchecked (${verdict.reason})` : `${verdict.value}, by ${verdict.method}`}
  answered  ${receipt.readers.find(({ role }) => role === 'answer')?.key ?? 'nobody'}
  checked   ${receipt.checks.map((check) => `${check.checker} (${check.independence === 'key' ? 'another key' : 'another key and network'})`).join(', ') || 'by nobody'}
  readers   ${receipt.readers.map((reader) => reader.role).join(', ')}
It does not prove that the tabs belong to different people.`);
  if (keyFromRouter)
    console.log('The key came from the router itself: give --key to check against one that you trust.');
}
