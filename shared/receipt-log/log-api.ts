import * as v from 'valibot';
import { type Bytes, fromBase64Url, sha256, utf8 } from '../bytes.ts';
import { MAX_LOG_ENTRIES } from '../limits.ts';
import { instant } from '../protocol/fields.ts';
import { key32, type Signed, signed } from '../signing/signed-statement.ts';
import { MAX_PROOF_HASHES } from './merkle-tree.ts';

/** The public log of receipts: what its head says, and what `/v1/log/…` answers. Entries and hashes are 32 bytes, base64url. */

const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const path = v.pipe(v.array(key32), v.maxLength(MAX_PROOF_HASHES));

/** Persisted by whoever watches the log, signed by the router: at this instant the log had these many entries, with this Merkle root. */
export const logHead = v.object({ v: v.literal(1), size, root: key32, at: instant });
export type LogHead = v.InferOutput<typeof logHead>;

/** `GET /v1/log/inclusion`: the entry is number `index` of those that the head counts. */
export const inclusionResponse = v.object({ index: size, path, head: signed });
export type InclusionResponse = v.InferOutput<typeof inclusionResponse>;

/** `GET /v1/log/consistency`: the first `from` of `to` entries are those of the log when it had `from`. */
export const consistencyResponse = v.object({ from: size, to: size, path });
export type ConsistencyResponse = v.InferOutput<typeof consistencyResponse>;

/** `GET /v1/log/entries`: `size` is how many there are in all. */
export const entriesResponse = v.object({
  from: size,
  size,
  entries: v.pipe(v.array(key32), v.maxLength(MAX_LOG_ENTRIES)),
});
export type EntriesResponse = v.InferOutput<typeof entriesResponse>;

/**
 * What the log holds of a receipt: SHA-256 of its payload ‖ its signature (64 bytes). Nothing of the task can be read from it, and whoever has the receipt can
 * compute it. Throws `TypeError` when the signature is not base64url.
 */
export function entryOf({ payload, signature }: Pick<Signed, 'payload' | 'signature'>): Promise<Bytes> {
  return sha256(utf8(payload), fromBase64Url(signature));
}
