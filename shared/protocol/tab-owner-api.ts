import * as v from 'valibot';
import { toBase64Url, utf8 } from '../bytes.ts';
import type { Signer } from '../signing/signed-statement.ts';
import { instant, key32 } from './fields.ts';

/** `/v1/tabs/:id/owner`: whom a tab works for and what it earned. It is the tab's own business: each call is signed with its key. */

/** Has the statement, as base64url of its JSON. */
export const TAB_PROOF_HEADER = 'shoal-tab-proof';

/** A statement counts so long before and after it was signed, ms by the router's clock. */
export const TAB_PROOF_LIFE_MS = 120_000;

/** Longest code that anybody types, characters, with what stands between its letters. */
export const MAX_CODE = 40;
export const pairingCode = v.pipe(v.string(), v.minLength(1), v.maxLength(MAX_CODE));

/** To see what it earned; to see who asks by a code; to pair; to belong to nobody again. */
export type TabOwnerAct = 'look' | 'ask' | 'pair' | 'leave';

/** Signed by a tab as `tab-owner`: this, to this router, now. */
export const tabOwnerClaim = v.strictObject({
  v: v.literal(1),
  router: key32,
  act: v.picklist(['look', 'ask', 'pair', 'leave']),
  /** Null where none is meant. */
  code: v.nullable(pairingCode),
  at: instant,
});
export type TabOwnerClaim = v.InferOutput<typeof tabOwnerClaim>;

export const pairRequest = v.strictObject({
  code: pairingCode,
  /** Only says who asks: nothing is paired, and the code is not used. */
  dry_run: v.optional(v.boolean(), false),
});

/** The value of {@link TAB_PROOF_HEADER}. */
export async function tabProof(signer: Signer, claim: Omit<TabOwnerClaim, 'v'>): Promise<string> {
  const statement = await signer.sign('tab-owner', JSON.stringify({ v: 1, ...claim }));
  return toBase64Url(utf8(JSON.stringify(statement)));
}
