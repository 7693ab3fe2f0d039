import { parseArgs } from 'node:util';
import { publishedKey, readJson, withKeysJoined } from '../client/command-input.ts';
import { parseTranscript } from '../shared/receipt/transcript.ts';
import { verifyReceipt } from '../shared/receipt/verify.ts';
import type { AuditOutcome } from '../web-miner/ui/audit-page.ts';
import type { AuditFinding } from '../web-miner/work/start-audit.ts';
import { tellFinding } from '../web-miner/work/tell-finding.ts';
import { servePages } from './audit/serve-pages.ts';
import { launchBrowser } from './browser/launch-browser.ts';

const USAGE = `shoal audit RECEIPT TRANSCRIPT [--router URL | --key KEY]

Has a browser on this machine write an answer again, and compares it with what the tab signed, byte by byte.

  RECEIPT        a receipt as GET /v1/receipts/ID gives it
  TRANSCRIPT     {"request": …, "response": …}: the body of POST /v1/chat/completions and the JSON that answered it,
                 or the list of a stream's chunks
  --key KEY      the router's Ed25519 key that you trust (base64url)
  --router URL   takes the key from this router's /.well-known/shoal.json
                 (default: the router that the receipt names)

Exit status: 0 it agrees to the bit, 1 it does not, 2 it could not be audited or the words were wrong.`;

/** The command `shoal audit`. Returns the exit status that its usage names. */
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
  const [receiptFile, transcriptFile, ...more] = parsed.positionals;
  if (receiptFile === undefined || transcriptFile === undefined || more.length > 0) {
    console.error(USAGE);
    return 2;
  }
  try {
    return await audit(receiptFile, transcriptFile, parsed.values);
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

async function audit(
  receiptFile: string,
  transcriptFile: string,
  options: { readonly key?: string | undefined; readonly router?: string | undefined },
): Promise<number> {
  const receipt = await readJson(receiptFile);
  const transcript = await readJson(transcriptFile, 'transcript');
  parseTranscript(transcript);
  const routerKey = options.key ?? (await publishedKey(receipt, options.router));
  const { valid, problems } = await verifyReceipt(receipt, { routerKey });
  if (!valid) return report({ result: 'refused', problems });
  if (options.key === undefined) {
    console.log('The key came from the router itself: give --key to audit against one that you trust.');
  }
  const outcome = await auditInBrowser(receipt, transcript, routerKey);
  if (outcome.state === 'failed') throw new Error(outcome.reason);
  return report(outcome.finding);
}

/** The audit page of this copy of the source, in a browser that reaches nothing but this machine's own server. */
async function auditInBrowser(receipt: unknown, transcript: unknown, routerKey: string): Promise<AuditOutcome> {
  const pages = await servePages();
  try {
    const browser = await launchBrowser((line) => console.log(line));
    const stop = () => void browser.close();
    process.once('SIGINT', stop).once('SIGTERM', stop);
    try {
      const page = await (await browser.profile()).newPage();
      await page.goto(`${pages.url}/audit.html`);
      await page.waitForFunction(() => customElements.get('audit-page') !== undefined);
      console.log('Writing the answer again in a browser on this machine.');
      return await page.evaluate(
        async (given): Promise<AuditOutcome> => {
          const element = document.querySelector('audit-page');
          if (element === null) return { state: 'failed', reason: 'The page of the audit did not open.' };
          return element.audit(given.receipt, given.transcript, given.routerKey);
        },
        { receipt, transcript, routerKey },
      );
    } finally {
      process.removeListener('SIGINT', stop).removeListener('SIGTERM', stop);
      await browser.close();
    }
  } finally {
    await pages.close();
  }
}

/** Answers are hostile input: what could steer a terminal, or turn the order of a line, is shown by its number. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (sign) => `\\u{${sign.codePointAt(0)?.toString(16) ?? ''}}`);
}

function report(finding: AuditFinding): number {
  const { tone, title, lines, passages } = tellFinding(finding);
  console.log(title);
  for (const line of lines) console.log(`  ${printable(line)}`);
  if (passages !== null) {
    console.log(`  signed   “${printable(passages.signed)}”`);
    console.log(`  written  “${printable(passages.written)}”`);
  }
  return { good: 0, bad: 1, open: 2 }[tone];
}
