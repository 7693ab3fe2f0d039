import './require-node.ts';
import type { Page } from 'playwright-core';
import { matchTranscript } from '../shared/receipt/match-transcript.ts';
import { parseTranscript } from '../shared/receipt/transcript.ts';
import { verifyReceipt } from '../shared/receipt/verify.ts';
import { BAD_LINES, type BatchLine, batchLines } from './batch/batch-lines.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { type RunningNetwork, startNetwork } from './testing/running-network.ts';

/**
 * A batch with bad lines on a real router and real tabs, some of which are killed on the way. Every answer is held against its verified receipt, and every
 * task that the router leased is looked up: none may have been answered beside those in the output file. Exit status 0 only when all of it holds.
 */

const USAGE = 'npm run check:batch [-- --lines 500 --tabs 5 --kills 3 --tokens 40]';
const { values } = readArguments(USAGE, {
  lines: { type: 'string', default: '500' },
  tabs: { type: 'string', default: '5' },
  kills: { type: 'string', default: '3' },
  tokens: { type: 'string', default: '40' },
});

const MODEL = 'shoal-pup-3m:q8_0';
const POLL_MS = 500;
const DEADLINE_MS = 30 * 60 * 1000;
/** A receipt is there when the check of its answer is over. */
const RECEIPT_DEADLINE_MS = 60_000;

/** A tab that is to be killed writes an answer within this time, or something is wrong. */
const WRITING_DEADLINE_MS = 60_000;

interface BatchView {
  readonly id: string;
  readonly status: string;
  readonly output_file_id: string | null;
  readonly error_file_id: string | null;
  readonly request_counts: { readonly total: number; readonly completed: number; readonly failed: number };
}

interface Row {
  readonly custom_id: string | null;
  readonly response: { readonly status_code: number; readonly body: unknown } | null;
  readonly error: { readonly code: string; readonly line?: number } | null;
}

class BatchClient {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async call<T>(path: string, init: RequestInit = {}): Promise<T> {
    const response = await this.#fetch(path, init);
    return (await response.json()) as T;
  }

  async rows(file: string | null): Promise<Row[]> {
    if (file === null) return [];
    const text = await (await this.#fetch(`files/${file}/content`)).text();
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Row);
  }

  async start(lines: readonly BatchLine[]): Promise<string> {
    const form = new FormData();
    form.append('purpose', 'batch');
    form.append('file', new Blob([lines.map(({ text }) => text).join('\n')]), 'requests.jsonl');
    const input = await this.call<{ id: string }>('files', { method: 'POST', body: form });
    const body = { input_file_id: input.id, endpoint: '/v1/chat/completions', completion_window: '24h' };
    const headers = { 'content-type': 'application/json' };
    return (await this.call<BatchView>('batches', { method: 'POST', headers, body: JSON.stringify(body) })).id;
  }

  /** The receipt of a task once there is one; null when there never will be. */
  async receipt(id: string): Promise<unknown> {
    for (const until = Date.now() + RECEIPT_DEADLINE_MS; Date.now() < until; ) {
      const response = await fetch(`${this.#url}/v1/receipts/${id}`);
      const body = (await response.json()) as { error?: { code: string } };
      if (response.ok) return body;
      if (body.error?.code !== 'receipt_pending') return null; // Leased and given back before its tab had begun.
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return null;
  }

  async #fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { authorization: 'Bearer check-batch', ...(init.headers as Record<string, string> | undefined) };
    const response = await fetch(`${this.#url}/v1/${path}`, { ...init, headers });
    if (!response.ok) throw new CommandError(`${path}: ${response.status} ${await response.text()}`);
    return response;
  }
}

async function checkBatch(): Promise<void> {
  const [count, tabCount, kills, tokens] = [values.lines, values.tabs, values.kills, values.tokens].map(Number);
  if (count === undefined || tabCount === undefined || kills === undefined || kills >= tabCount) {
    throw new CommandError(`At least one tab must be left.\n\n${USAGE}`);
  }
  const lines = batchLines(count, MODEL, tokens ?? 40);
  const network = await startNetwork();
  try {
    const tabs = await network.lend(tabCount, { model: MODEL });
    console.log(
      `${tabCount} tabs serve ${MODEL}; ${count} lines, ${BAD_LINES} of them bad; ${kills} tabs will be killed.`,
    );
    const client = new BatchClient(network.router.url);
    const startedAt = performance.now();
    const batch = await follow(client, await client.start(lines), tabs, kills);
    const seconds = (performance.now() - startedAt) / 1000;
    await report(network, client, lines, batch, { tabs: tabCount, killed: kills, seconds });
  } finally {
    await network.stop();
  }
}

/** Waits for the end of the batch, and kills a tab each time that another part of it is done. */
async function follow(client: BatchClient, id: string, tabs: readonly Page[], kills: number): Promise<BatchView> {
  let killed = 0;
  for (const until = Date.now() + DEADLINE_MS; Date.now() < until; ) {
    const batch = await client.call<BatchView>(`batches/${id}`);
    const { total, completed, failed } = batch.request_counts;
    if (!['validating', 'in_progress', 'finalizing'].includes(batch.status)) return batch;
    const victim = tabs[killed];
    if (total > 0 && victim !== undefined && killed < kills && completed >= ((killed + 1) * total) / (kills + 2)) {
      killed++;
      await kill(victim);
      console.log(`${completed} of ${total} done, ${failed} failed: tab ${killed} is killed.`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new CommandError('The batch did not end in time.');
}

/** As when a browser kills a tab in the middle of an answer: no goodbye. */
async function kill(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await page.locator('#state', { hasText: 'Writing an answer' }).waitFor({ timeout: WRITING_DEADLINE_MS });
  void session.send('Page.crash').catch(() => undefined); // Nobody is left to reply.
  await page.waitForEvent('crash').catch(() => undefined);
}

async function report(
  network: RunningNetwork,
  client: BatchClient,
  lines: readonly BatchLine[],
  batch: BatchView,
  told: { readonly tabs: number; readonly killed: number; readonly seconds: number },
): Promise<void> {
  const output = await client.rows(batch.output_file_id);
  const errors = await client.rows(batch.error_file_id);
  const wrong: string[] = [];
  const good = lines.filter(({ fault }) => fault === null);
  const bad = lines.flatMap(({ fault }, i) => (fault === null ? [] : [{ fault, line: i + 1 }]));

  if (
    JSON.stringify(output.map(({ custom_id }) => custom_id)) !== JSON.stringify(good.map(({ customId }) => customId))
  ) {
    wrong.push('the output file does not have each good line once, in order');
  }
  const faults = errors.map((row) => codeOf(row));
  if (JSON.stringify(faults) !== JSON.stringify(bad.map(({ fault }) => fault))) {
    wrong.push(`the error file has ${faults.join(', ')}`);
  }

  let right = 0;
  const accepted = new Set<string>();
  const requests = new Map(good.map(({ customId, body }) => [customId, body]));
  for (const { custom_id, response } of output) {
    const answered = response?.body as { readonly shoal: { readonly receipt: string } };
    const receipt = await client.receipt(answered.shoal.receipt);
    const verified = await verifyReceipt(receipt, { routerKey: network.routerKey });
    const transcript = parseTranscript({ request: requests.get(custom_id), response: answered });
    const match = verified.receipt === null ? null : await matchTranscript(verified.receipt, transcript);
    if (verified.valid && match?.match === 'same') right++;
    else wrong.push(`${custom_id}: ${verified.problems.join(' ')} ${match?.match ?? ''}`);
    accepted.add(answered.shoal.receipt.replace('rcpt_', ''));
  }

  const leased = [...new Set(network.log.flatMap((line) => /"task_leased","task":"([\w-]+)"/.exec(line)?.[1] ?? []))];
  let twice = 0;
  let lost = 0;
  for (const task of leased.filter((name) => !accepted.has(name))) {
    const { receipt } = await verifyReceipt(await client.receipt(`rcpt_${task}`), { routerKey: network.routerKey });
    if (receipt?.outcome.value === 'answered') twice++;
    else lost++;
  }
  const held =
    batch.status === 'completed' &&
    wrong.length === 0 &&
    right === good.length &&
    twice === 0 &&
    accepted.size === right;
  for (const line of wrong.slice(0, 20)) console.log(`WRONG: ${line}`);
  console.log(
    JSON.stringify({
      name: 'batch',
      held,
      lines: lines.length,
      right,
      errors: errors.length,
      tabs: told.tabs,
      killed: told.killed,
      tasks_leased: leased.length,
      attempts_lost: lost,
      answered_twice: twice,
      seconds: Number(told.seconds.toFixed(1)),
    }),
  );
  process.exitCode = held ? 0 : 1;
}

function codeOf({ response, error }: Row): string {
  if (error !== null) return error.code;
  const body = response?.body as { readonly error?: { readonly code: string } } | undefined;
  return body?.error?.code ?? 'none';
}

await runCommand(checkBatch);
