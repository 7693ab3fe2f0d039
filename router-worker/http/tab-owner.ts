import type { Hono } from 'hono';
import * as v from 'valibot';
import { fromBase64Url } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import {
  pairRequest,
  TAB_PROOF_HEADER,
  TAB_PROOF_LIFE_MS,
  type TabOwnerAct,
  type TabOwnerClaim,
  tabOwnerClaim,
} from '../../shared/protocol/tab-owner-api.ts';
import { openStatement, type Signed, signed } from '../../shared/signing/signed-statement.ts';
import { accountStub } from '../accounts/account-object.ts';
import { type AccountName, digestOf } from '../accounts/api-key.ts';
import { readPairingCode, unknownCode } from '../accounts/pairing-code.ts';
import { pairingStub } from '../accounts/pairing-object.ts';
import type { Env } from '../env.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { ledgerStub } from '../ledger/ledger-address.ts';
import { AllPools } from '../pool/all-pools.ts';
import { unwrap } from '../pool/session-calls.ts';
import { parse } from './account.ts';
import type { AppContext, AppEnv } from './context.ts';
import { earningsView, endPairing } from './devices.ts';

/** Longest proof, characters: a statement of some 400 bytes, twice in base64url. */
const MAX_PROOF = 2_000;

/** Whom a tab works for, and what it earned: told to the tab alone, which signs each call. */
export function tabOwnerRoutes(app: Hono<AppEnv>): void {
  app.get('/v1/tabs/:id/owner', async (c) => {
    const { tab } = await proven(c, 'look', null);
    return c.json(await ownerView(c.env, tab));
  });

  app.post('/v1/tabs/:id/owner', async (c) => {
    const { code: typed, dry_run: isDry } = await parse(c, pairRequest);
    const { tab } = await proven(c, isDry ? 'ask' : 'pair', typed);
    const code = await readPairingCode(await routerKeys(c.env.SHOAL_ROUTER_SECRET), typed);
    const account = await pairingStub(c.env, code).account();
    if (account === null) throw unknownCode();
    if (!isDry) {
      await pair(c.env, account, await digestOf(code), tab);
      return c.json(await ownerView(c.env, tab), 201);
    }
    const { owner, devices, expiresAt } = unwrap(await accountStub(c.env, account).pairing(await digestOf(code)));
    return c.json({ object: 'pairing', owner, devices, expires_at: expiresAt });
  });

  app.delete('/v1/tabs/:id/owner', async (c) => {
    const { tab } = await proven(c, 'leave', null);
    const account = unwrap(await ledgerStub(c.env).payeeOf(tab));
    if (account !== null) await endPairing(c.env, account, tab);
    return c.json(await ownerView(c.env, tab));
  });
}

/**
 * The account's list first, which is bounded and spends the code; then the ledger, which alone says that a tab is nobody else's; then the pool. Told again, each changes
 * nothing.
 */
async function pair(env: Env, account: AccountName, code: string, tab: string): Promise<void> {
  const ledger = ledgerStub(env);
  const before = unwrap(await ledger.payeeOf(tab));
  if (before !== null && before !== account) throw pairedElsewhere();
  const { order } = unwrap(await accountStub(env, account).redeemPairing(code, tab));
  const reply = await ledger.pair({ id: order, tab, account });
  if (!reply.ok && reply.error.code === pairedElsewhere().code) await accountStub(env, account).removeDevice(tab);
  unwrap(reply);
  await new AllPools(env).owned(tab, account);
}

function pairedElsewhere(): ShoalError {
  return new ShoalError('already_paired', 'This tab is paired with another account: end that first.');
}

async function ownerView(env: Env, tab: string) {
  const [money] = unwrap(await ledgerStub(env).tabMoney([tab]));
  if (money === undefined) throw new Error('the ledger knows every tab');
  const device = money.payee === null ? null : unwrap(await accountStub(env, money.payee).device(tab));
  return {
    object: 'tab.owner',
    tab,
    owner: device?.owner ?? null,
    name: device?.name ?? null,
    paired_at: device?.pairedAt ?? null,
    unit: 'micro-credit',
    ...earningsView(money),
  };
}

/** The tab that signed this call, for this router, now. Throws `tab_not_found` or `tab_proof_invalid`. */
async function proven(c: AppContext, act: TabOwnerAct, code: string | null): Promise<{ readonly tab: string }> {
  const tab = c.req.param('id') ?? '';
  const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
  const statement = readProof(c.req.header(TAB_PROOF_HEADER));
  let claim: TabOwnerClaim;
  try {
    claim = await openStatement('tab-owner', tabOwnerClaim, statement, tab);
  } catch (cause) {
    throw wrongProof(ShoalError.from(cause).message);
  }
  if (claim.router !== keys.signer.publicKey) throw wrongProof('It is for another router.');
  if (claim.act !== act || claim.code !== code) throw wrongProof('It is for another call.');
  if (Math.abs(Date.now() - claim.at) > TAB_PROOF_LIFE_MS) {
    throw wrongProof(`It is not of the last ${TAB_PROOF_LIFE_MS / 1000} seconds by the clock of this router.`);
  }
  return { tab };
}

function readProof(header: string | undefined): Signed {
  try {
    if (header === undefined || header.length > MAX_PROOF)
      throw wrongProof(`The header '${TAB_PROOF_HEADER}' has none.`);
    return v.parse(signed, JSON.parse(new TextDecoder().decode(fromBase64Url(header))));
  } catch (cause) {
    throw cause instanceof ShoalError && cause.code === 'tab_proof_invalid' ? cause : wrongProof('It cannot be read.');
  }
}

function wrongProof(why: string): ShoalError {
  return new ShoalError('tab_proof_invalid', `The tab's proof does not hold: ${why}`, { param: TAB_PROOF_HEADER });
}
