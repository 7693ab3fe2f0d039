import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as v from 'valibot';
import { webAddress } from '../../shared/classes/catalogue.ts';
import { MODEL_PIECE_BYTES } from '../../shared/limits.ts';
import { CommandError } from '../command-line.ts';

const DOWNLOAD_DEADLINE_MS = 6 * 60 * 60 * 1000;
const PROBE_DEADLINE_MS = 20_000;
const MOST_REDIRECTS = 5;
/** Some page's: a mirror must answer those of any origin. */
const SOME_ORIGIN = 'https://shoal.invalid';

/**
 * Where Hugging Face's downloads are sent on to, by region and age of the file: its documentation of hosts for firewalls (huggingface/hub-docs, "Downloading models", July 2026).
 * A page may only connect to what its policy names, and which of them a visitor meets depends on where the visitor is.
 */
const SENDS_ON: Readonly<Record<string, readonly string[]>> = {
  'https://huggingface.co': [
    'https://us.aws.cdn.hf.co',
    'https://us.gcp.cdn.hf.co',
    'https://cas-bridge.xethub.hf.co',
    'https://cas-bridge.xethub-eu.hf.co',
    'https://cdn-lfs.hf.co',
    'https://cdn-lfs-us-1.hf.co',
    'https://cdn-lfs-eu-1.hf.co',
  ],
};

/** Fetches a file from the first mirror that has it. Throws {@link CommandError}. */
export async function download(mirrors: readonly string[], into: string): Promise<void> {
  const failures: string[] = [];
  for (const url of mirrors) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_DEADLINE_MS) });
      if (!response.ok || response.body === null) throw new Error(`it answered ${response.status}`);
      await pipeline(
        Readable.fromWeb(response.body as import('node:stream/web').ReadableStream),
        createWriteStream(into),
      );
      return;
    } catch (cause) {
      failures.push(`${url}: ${reasonOf(cause)}`);
    }
  }
  throw new CommandError(`It could not be fetched. ${failures.join('. ')}.`);
}

/** What a page would meet at a mirror: why it is of no use, or the origins on the way. */
export type Probe = { readonly fault: string } | { readonly fault: null; readonly origins: readonly string[] };

/** Asks a mirror for the first byte of a file, as a page would. */
export async function probe(mirror: string, bytes: number): Promise<Probe> {
  const origins: string[] = [];
  let url = mirror;
  if (!v.is(webAddress, mirror)) return { fault: 'pages connect to https:// only' };
  try {
    for (let hop = 0; hop <= MOST_REDIRECTS; hop++) {
      const { origin } = new URL(url);
      origins.push(origin, ...(SENDS_ON[origin] ?? []));
      const response = await fetch(url, {
        redirect: 'manual',
        headers: { range: 'bytes=0-0', origin: SOME_ORIGIN },
        signal: AbortSignal.timeout(PROBE_DEADLINE_MS),
      });
      await response.body?.cancel();
      const allowed = response.headers.get('access-control-allow-origin');
      if (allowed !== '*' && allowed !== SOME_ORIGIN)
        return { fault: `${origin} does not let other sites’ pages read it` };
      const next = response.headers.get('location');
      if (response.status >= 300 && response.status < 400 && next !== null) {
        url = new URL(next, url).href;
        continue;
      }
      return judge(origin, response, bytes) ?? { fault: null, origins: [...new Set(origins)] };
    }
    return { fault: 'it sends on and on' };
  } catch (cause) {
    return { fault: reasonOf(cause) };
  }
}

/** Null when the answer will do. */
function judge(origin: string, response: Response, bytes: number): Probe | null {
  if (!response.ok) return { fault: `${origin} answered ${response.status}` };
  if (response.status !== 206) {
    return bytes <= MODEL_PIECE_BYTES ? null : { fault: `${origin} cannot send a part of the file` };
  }
  const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
  if (total === undefined || Number(total) === bytes) return null;
  return { fault: `${origin} has another file: ${total} bytes, not ${bytes}` };
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? cause.cause.message || cause.message : cause.message;
}
