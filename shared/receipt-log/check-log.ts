import { type Bytes, fromBase64Url } from '../bytes.ts';
import { ShoalError } from '../errors.ts';
import { openStatement, type Signed } from '../signing/signed-statement.ts';
import { type ConsistencyResponse, entryOf, type InclusionResponse, type LogHead, logHead } from './log-api.ts';
import { leafHash, provesConsistency, provesInclusion } from './merkle-tree.ts';

/** Verifies a head. Throws `integrity_failed` when this router did not sign it. */
export function openLogHead(head: Signed, routerKey: string): Promise<LogHead> {
  return openStatement('log-head', logHead, head, routerKey);
}

/** Where a receipt stands in the log. Throws `integrity_failed` when the proof does not lead from it to the signed head. */
export async function checkInclusion(
  receipt: Signed,
  proof: InclusionResponse,
  routerKey: string,
): Promise<{ readonly index: number; readonly head: LogHead }> {
  return checkEntry(await entryOf(receipt), proof, routerKey);
}

/** The same for whoever has no more of the receipt than its entry. */
export async function checkEntry(
  entry: Uint8Array,
  { index, path, head }: InclusionResponse,
  routerKey: string,
): Promise<{ readonly index: number; readonly head: LogHead }> {
  const opened = await openLogHead(head, routerKey);
  const claim = {
    leaf: await leafHash(entry),
    index,
    size: opened.size,
    root: hashOf(opened.root),
    path: path.map(hashOf),
  };
  if (!(await provesInclusion(claim))) {
    throw new ShoalError('integrity_failed', 'The proof does not show the receipt in the log that the router signed.');
  }
  return { index, head: opened };
}

/** Throws `integrity_failed` when the proof does not show that the later log begins with the whole earlier one, unchanged. */
export async function checkConsistency(earlier: LogHead, later: LogHead, proof: ConsistencyResponse): Promise<void> {
  const claim = {
    from: { size: earlier.size, root: hashOf(earlier.root) },
    to: { size: later.size, root: hashOf(later.root) },
    path: proof.path.map(hashOf),
  };
  if (!(await provesConsistency(claim))) {
    throw new ShoalError(
      'integrity_failed',
      `The log was rewritten: its ${later.size} entries do not begin with the ${earlier.size} that the router signed before.`,
    );
  }
}

/** Empty for a text that is not base64url: no proof holds with it. */
function hashOf(text: string): Bytes {
  try {
    return fromBase64Url(text);
  } catch {
    return new Uint8Array(0);
  }
}
