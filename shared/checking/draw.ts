import * as v from 'valibot';
import { fromBase64Url, sha256, toBase64Url, toHex, utf8 } from '../bytes.ts';

/**
 * How far apart two tabs are known to be: another key only; another key and another owner; another network prefix too. That owners differ is known of the
 * operator's guards alone: a guard and a visitor have two. That they are one is known of tabs that are paired with one account: these are two keys, wherever they are.
 */
export const independence = v.picklist(['key', 'owner', 'network']);
export type Independence = v.InferOutput<typeof independence>;

/**
 * The draw of checkers, so that anyone can run it again. The router commits to a secret in the lease, before there is an answer; the tab commits to
 * its answer; the client gave its nonce with the request. None of the three can steer the draw alone:
 *
 *   commitment = SHA-256("shoal/draw/v1\n" ‖ secret)
 *   seed       = SHA-256("shoal/draw-seed/v1\n" ‖ secret ‖ signature of the tab's commit ‖ client's nonce)
 *   place(tab) = SHA-256(seed ‖ tab)
 *
 * The most independent candidates come first; among equals, the lowest place. The order serves all draws of a task: whoever is lost, or disagrees,
 * is followed by the next. (Rendezvous hashing: a candidate more or less does not change the order of the others.)
 */
export interface DrawCandidate {
  readonly tab: string;
  readonly independence: Independence;
}

const RANK: Readonly<Record<Independence, number>> = { network: 0, owner: 1, key: 2 };

/** What the lease says of the secret, which is opened in the receipt. Both are base64url. */
export async function drawCommitment(secret: string): Promise<string> {
  return toBase64Url(await sha256(utf8('shoal/draw/v1\n'), fromBase64Url(secret)));
}

/** The candidates in the order in which they are drawn. All of `draw` is base64url. */
export async function drawOrder<T extends DrawCandidate>(
  draw: { readonly secret: string; readonly commitSignature: string; readonly nonce: string },
  candidates: readonly T[],
): Promise<T[]> {
  const parts = [draw.secret, draw.commitSignature, draw.nonce].map(fromBase64Url);
  const seed = await sha256(utf8('shoal/draw-seed/v1\n'), ...parts);
  const placed = await Promise.all(
    candidates.map(async (candidate) => ({
      candidate,
      place: toHex(await sha256(seed, utf8(candidate.tab))),
    })),
  );
  return inDrawOrder(placed);
}

/** The most independent first; among equals, the lowest place. */
export function inDrawOrder<T extends DrawCandidate>(
  placed: readonly { readonly candidate: T; readonly place: string | number }[],
): T[] {
  const rankOf = ({ candidate }: { readonly candidate: T }) => RANK[candidate.independence];
  return placed
    .toSorted((a, b) => rankOf(a) - rankOf(b) || (a.place < b.place ? -1 : 1))
    .map(({ candidate }) => candidate);
}
