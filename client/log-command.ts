import { writeFile } from 'node:fs/promises';
import * as v from 'valibot';
import { fromBase64Url, toBase64Url } from '../shared/bytes.ts';
import { ShoalError } from '../shared/errors.ts';
import { MAX_LOG_ENTRIES } from '../shared/limits.ts';
import { checkConsistency, openLogHead } from '../shared/receipt-log/check-log.ts';
import { consistencyResponse, entriesResponse, type LogHead } from '../shared/receipt-log/log-api.ts';
import { rootOf } from '../shared/receipt-log/merkle-tree.ts';
import { type Signed, signed } from '../shared/signing/signed-statement.ts';
import { readJson } from './command-input.ts';
import { RouterCalls } from './router-calls.ts';

export interface LogOptions {
  readonly router: string;
  readonly key?: string | undefined;
  /** File with a head that was saved earlier. */
  readonly since?: string | undefined;
  /** File that the head is written to, once it was found consistent. */
  readonly save?: string | undefined;
  /** Read all entries, and compute the root from them. */
  readonly entries?: boolean | undefined;
}

/** The command `shoal log`. Returns the exit status: 0 the log is as its head says, 1 it is not. Throws `Error` when it could not be read. */
export async function watchLog(options: LogOptions): Promise<number> {
  const calls = new RouterCalls(options.router, fetch);
  const earlier = options.since === undefined ? null : await readHead(options.since);
  const head = parsed(signed, await calls.get('/v1/log/head'));
  const keys = options.key === undefined ? await calls.routerKeys() : [options.key];
  const routerKey = keys.find((key) => key === head.key) ?? keys[0] ?? '';
  try {
    const later = await openLogHead(head, routerKey);
    console.log(
      `The log has ${entryCount(later.size)}, by a head that was signed at ${new Date(later.at).toISOString()}.`,
    );
    if (earlier !== null) await compare(await openLogHead(earlier, routerKey), later, calls);
    if (options.entries === true) await readAll(later, calls);
  } catch (cause) {
    if (!(cause instanceof ShoalError) || cause.code !== 'integrity_failed') throw cause;
    console.log(`REFUSED\n  ${cause.message}`);
    return 1;
  }
  if (options.save !== undefined) {
    await writeFile(options.save, `${JSON.stringify(head)}\n`);
    console.log(`The head is in ${options.save}: give it to --since the next time.`);
  }
  if (options.key === undefined) {
    console.log('The key came from the router itself: give --key to check against one that you trust.');
  }
  return 0;
}

async function readHead(file: string): Promise<Signed> {
  const content = v.safeParse(signed, await readJson(file, 'saved head'));
  if (!content.success) throw new Error(`${file} is no saved head.`);
  return content.output;
}

async function compare(earlier: LogHead, later: LogHead, calls: RouterCalls): Promise<void> {
  const sizes = { from: earlier.size, to: later.size };
  const proof =
    earlier.size > later.size
      ? { ...sizes, path: [] } // A log that became shorter has no proof to ask for.
      : parsed(consistencyResponse, await calls.get(`/v1/log/consistency?from=${sizes.from}&to=${sizes.to}`));
  await checkConsistency(earlier, later, proof);
  console.log(`It begins with the ${entryCount(earlier.size)} of the saved head, unchanged.`);
}

async function readAll(head: LogHead, calls: RouterCalls): Promise<void> {
  const entries: string[] = [];
  while (entries.length < head.size) {
    const path = `/v1/log/entries?from=${entries.length}&limit=${MAX_LOG_ENTRIES}`;
    const page = parsed(entriesResponse, await calls.get(path)).entries;
    if (page.length === 0) throw new ShoalError('integrity_failed', 'The log has fewer entries than its head says.');
    entries.push(...page.slice(0, head.size - entries.length));
  }
  if (toBase64Url(await rootOf(entries.map(fromBase64Url))) !== head.root) {
    throw new ShoalError('integrity_failed', 'The entries of the log do not have the root that the router signed.');
  }
  console.log(`All ${entryCount(head.size)} were read, and have the root that the head names.`);
}

function parsed<T>(schema: v.GenericSchema<unknown, T>, content: unknown): T {
  const result = v.safeParse(schema, content);
  if (!result.success) throw new ShoalError('integrity_failed', 'The router sent something that is not of its log.');
  return result.output;
}

function entryCount(count: number): string {
  return count === 1 ? '1 entry' : `${count} entries`;
}
