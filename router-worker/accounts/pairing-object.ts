import { DurableObject } from 'cloudflare:workers';
import type { Env } from '../env.ts';
import type { AccountName } from './api-key.ts';

const ACCOUNT_KEY = 'account';

/** Which account a code of pairing is of, while it lasts. The account itself knows all the rest. One object for each code that the router made. */
export class PairingObject extends DurableObject<Env> {
  /** False where the code is another account's already. */
  async keep(account: AccountName, expiresAt: number): Promise<boolean> {
    const before = await this.account();
    if (before !== null) return before === account;
    await this.ctx.storage.put(ACCOUNT_KEY, account);
    await this.ctx.storage.setAlarm(expiresAt);
    return true;
  }

  async account(): Promise<AccountName | null> {
    return (await this.ctx.storage.get<AccountName>(ACCOUNT_KEY)) ?? null;
  }

  override async alarm(): Promise<void> {
    await this.ctx.storage.deleteAll();
  }
}

/** `code`: one that this router made. */
export function pairingStub(env: Env, code: string): DurableObjectStub<PairingObject> {
  return env.PAIRING.get(env.PAIRING.idFromName(code));
}
