import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import * as v from 'valibot';
import type { ReceiptVerification } from '../shared/receipt/verify.ts';
import { signed } from '../shared/signing/signed-statement.ts';
import { RouterCalls } from './router-calls.ts';
import { verifyReceipt } from './verify-receipt.ts';

const USAGE = `shoal verify FILE [--router URL | --key KEY]

Verifies a receipt: signatures, commitment, and whether the verdict follows from what the tabs signed.

  FILE           a receipt as GET /v1/receipts/ID gives it; - reads standard input
  --key KEY      the router's Ed25519 key that you trust (base64url): offline
  --router URL   takes the key from this router's /.well-known/shoal.json
                 (default: the router that the receipt names)`;

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

/** One key in 64 begins with a dash, which the parser would take for another option: `--key -x` is read as `--key=-x`. */
function withKeysJoined(args: readonly string[]): string[] {
  const at = args.indexOf('--key');
  const key = args[at + 1];
  return at < 0 || key === undefined ? [...args] : [...args.slice(0, at), `--key=${key}`, ...args.slice(at + 2)];
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

async function readJson(file: string): Promise<unknown> {
  const name = file === '-' ? 'Standard input' : file;
  let text: string;
  try {
    text = file === '-' ? await readStandardInput() : await readFile(file, 'utf8');
  } catch {
    throw new Error(`${name} cannot be read.`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${name} is no receipt: it is not JSON.`);
  }
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** The key that a router publishes: the one that signed, if it is among them. */
async function publishedKey(content: unknown, router: string | undefined): Promise<string> {
  const outer = v.safeParse(signed, content);
  if (!outer.success) throw new Error('This is not a signed receipt.');
  const named = (JSON.parse(outer.output.payload) as { network?: unknown }).network;
  const url = router ?? (typeof named === 'string' ? named : '');
  const keys = await new RouterCalls(url, fetch).routerKeys();
  return keys.find((key) => key === outer.output.key) ?? keys[0] ?? '';
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
  answered  ${receipt.readers.find(({ role }) => role === 'answer')?.key ?? 'nobody'}
  checked   ${receipt.checks.map((check) => `${check.checker} (${INDEPENDENCE[check.independence]}; ${check.reveal === null ? 'did not finish' : 'finished'})`).join(', ') || 'by nobody'}
  readers   ${receipt.readers.map((reader) => reader.role).join(', ')}
It does not prove that the tabs belong to different people, nor that the router named every tab that could have checked.`);
  if (keyFromRouter)
    console.log('The key came from the router itself: give --key to check against one that you trust.');
}
