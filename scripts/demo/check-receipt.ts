import type { Verdict } from '../../shared/checking/verdict.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import type { Report } from './report.ts';

/** Verifies a receipt offline, and shows that the same receipt with one bit changed, anywhere, is refused. */
export async function checkReceipt(report: Report, receipt: Signed, routerKey: string): Promise<void> {
  const { valid, problems } = await verifyReceipt(receipt, { routerKey });
  report.step(
    'receipt verified offline',
    valid,
    valid ? 'all signatures, the commitment and the verdict' : problems.join(' '),
  );
  const refused = await Promise.all(
    [0.25, 0.5, 0.75].map(async (share) => {
      const forged = flipOneBit(receipt, share);
      return !(await verifyReceipt(forged, { routerKey })).valid;
    }),
  );
  report.step('one bit changed', refused.every(Boolean), `refused, ${refused.length} places tried`);
}

function flipOneBit(receipt: Signed, share: number): Signed {
  const at = Math.floor(receipt.payload.length * share);
  const flipped = String.fromCharCode(receipt.payload.charCodeAt(at) ^ 1);
  return { ...receipt, payload: receipt.payload.slice(0, at) + flipped + receipt.payload.slice(at + 1) };
}

export function describeVerdict(verdict: Verdict, cosine: number | null): string {
  switch (verdict.value) {
    case 'valid': {
      const similarity = cosine === null ? 'cosine not measurable' : `cosine ${cosine.toFixed(4)}`;
      return `valid by ${verdict.method}: ${verdict.blocks} of ${verdict.blocks} blocks of 64 bytes equal, ${similarity}`;
    }
    case 'invalid':
    case 'disputed':
      return `${verdict.value} by ${verdict.method}: block ${verdict.falseBlock} is the first that differs`;
    case 'unchecked':
      return `unchecked (${verdict.reason})`;
  }
}
