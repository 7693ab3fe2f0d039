import type { Hono } from 'hono';
import * as v from 'valibot';
import { ShoalError } from '../../shared/errors.ts';
import { key32, shownText } from '../../shared/protocol/fields.ts';
import { accountStub } from '../accounts/account-object.ts';
import { type AccountName, digestOf } from '../accounts/api-key.ts';
import type { Device } from '../accounts/paired-devices.ts';
import { mintPairingCode, shownCode } from '../accounts/pairing-code.ts';
import { pairingStub } from '../accounts/pairing-object.ts';
import type { Env } from '../env.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { ledgerStub } from '../ledger/ledger-address.ts';
import type { TabMoney } from '../ledger/transfer.ts';
import { AllPools } from '../pool/all-pools.ts';
import { unwrap } from '../pool/session-calls.ts';
import { accountId, owner, parse } from './account.ts';
import type { AppEnv } from './context.ts';

/** Life of a code that does not say, seconds: time to walk over to the device. */
const DEFAULT_LIFE_S = 600;
const MAX_LIFE_S = 3_600;
/** Devices that one code pairs at most: a room of machines. */
const MAX_DEVICES_A_CODE = 16;

const pairingRequest = v.strictObject({
  /** How the account is named to whoever is asked to pair; left out, as the key. */
  owner: v.optional(v.pipe(shownText(100), v.minLength(1))),
  /** Of the devices, for their list. */
  name: v.optional(shownText(100), ''),
  devices: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(MAX_DEVICES_A_CODE)), 1),
  expires_in_s: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(60), v.maxValue(MAX_LIFE_S)), DEFAULT_LIFE_S),
});

/** Codes, and the devices that came by them, for whoever holds a key of the account. */
export function deviceRoutes(app: Hono<AppEnv>): void {
  app.post('/v1/account/pairings', async (c) => {
    const asked = await parse(c, pairingRequest);
    const { account, key } = await owner(c, true);
    const called = asked.owner ?? (key.name === '' ? accountId(account) : key.name);
    const expiresAt = Date.now() + asked.expires_in_s * 1000;
    const code = await openCode(c.env, account, expiresAt);
    const pairing = { owner: called, name: asked.name, devices: asked.devices, expiresAt };
    unwrap(await accountStub(c.env, account).offerPairing(await digestOf(code), pairing));
    return c.json(
      {
        object: 'pairing',
        code: shownCode(code),
        link: `${new URL(c.req.url).origin}/join#pair=${code}`,
        owner: called,
        name: asked.name,
        devices: asked.devices,
        expires_at: expiresAt,
      },
      201,
    );
  });

  app.get('/v1/account/devices', async (c) => {
    const { account } = await owner(c, false);
    const devices = unwrap(await accountStub(c.env, account).devices());
    const money = unwrap(await ledgerStub(c.env).tabMoney(devices.map(({ tab }) => tab)));
    const data = devices.flatMap((device, i) => {
      const earned = money[i];
      return earned === undefined ? [] : [deviceView(device, earned)];
    });
    return c.json({ object: 'list', unit: 'micro-credit', data });
  });

  app.delete('/v1/account/devices/:tab', async (c) => {
    const { account } = await owner(c, true);
    const tab = c.req.param('tab');
    if (!v.is(key32, tab) || !(await endPairing(c.env, account, tab))) {
      throw new ShoalError('device_not_found', 'This account has no such device.', { param: 'tab' });
    }
    return c.json({ tab, object: 'device', deleted: true });
  });
}

/**
 * A tab is not the account's any more: out of its placement first, then of its pay, then of what the pool knows. Each step changes nothing where it was done, so that
 * whoever hears of no end may ask again. False where there was nothing to end.
 */
export async function endPairing(env: Env, account: AccountName, tab: string): Promise<boolean> {
  const wasListed = unwrap(await accountStub(env, account).removeDevice(tab));
  const wasPaid = unwrap(await ledgerStub(env).leave(tab, account));
  if (wasListed || wasPaid) await new AllPools(env).owned(tab, null);
  return wasListed || wasPaid;
}

/** A code that no other account has: of 40 random bits two may be the same. */
async function openCode(env: Env, account: AccountName, expiresAt: number): Promise<string> {
  const keys = await routerKeys(env.SHOAL_ROUTER_SECRET);
  for (;;) {
    const code = await mintPairingCode(keys);
    if (await pairingStub(env, code).keep(account, expiresAt)) return code;
  }
}

function deviceView({ tab, name, pairedAt }: Device, money: TabMoney) {
  return { tab, object: 'device', name, paired_at: pairedAt, ...earningsView(money) };
}

/** What a tab earned, micro-credits, in whole steps. */
export function earningsView({ waiting, held, collected, lost, today, step }: TabMoney) {
  return { earned: waiting + held + collected + lost, today, collected, waiting, held, lost, step };
}
