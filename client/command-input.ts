import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { parseJson } from '../shared/sealed-task/parse-json.ts';
import { signed } from '../shared/signing/signed-statement.ts';
import { RouterCalls } from './router-calls.ts';

/** What the commands are given: words, files, and a router's key. */

/** One key in 64 begins with a dash, which the parser would take for another option: `--key -x` is read as `--key=-x`. */
export function withKeysJoined(args: readonly string[]): string[] {
  const at = args.indexOf('--key');
  const key = args[at + 1];
  return at < 0 || key === undefined ? [...args] : [...args.slice(0, at), `--key=${key}`, ...args.slice(at + 2)];
}

/** `-` reads standard input. Throws `Error` with a sentence for the person. */
export async function readJson(file: string, what = 'receipt'): Promise<unknown> {
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
    throw new Error(`${name} is no ${what}: it is not JSON.`);
  }
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** The key that a router publishes: the one that signed, if it is among them. */
export async function publishedKey(content: unknown, router: string | undefined): Promise<string> {
  const outer = v.safeParse(signed, content);
  if (!outer.success) throw new Error('This is not a signed receipt.');
  const url = router ?? networkOf(outer.output.payload);
  const keys = await new RouterCalls(url, fetch).routerKeys();
  return keys.find((key) => key === outer.output.key) ?? keys[0] ?? '';
}

/** The router that a receipt names: its own word, to be believed once its signature was verified. */
export function networkOf(payload: string): string {
  const named = v.safeParse(v.object({ network: v.pipe(v.string(), v.url()) }), parseJson(payload));
  if (!named.success) throw new Error('The receipt names no router: give --router or --key.');
  return named.output.network;
}
