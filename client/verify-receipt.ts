import type { ReceiptVerification, VerifyOptions } from '../shared/receipt/verify.ts';

/**
 * Verifies a receipt offline, in Node and in browsers: the router's signature, those of the tabs, the commitment, and whether the verdict follows
 * from what the tabs signed. Never throws: what does not hold is listed in `problems`. Loaded with its first use.
 */
export async function verifyReceipt(receipt: unknown, options: VerifyOptions): Promise<ReceiptVerification> {
  const { verifyReceipt: verify } = await import('../shared/receipt/verify.ts');
  return verify(receipt, options);
}
