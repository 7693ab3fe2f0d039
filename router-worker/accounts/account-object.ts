import { DurableObject } from 'cloudflare:workers';
import { ShoalError } from '../../shared/errors.ts';
import type { Env } from '../env.ts';
import type { Reply } from '../session/session-object.ts';
import { Account } from './account.ts';
import type { AccountName } from './api-key.ts';
import type { KeyLimits, KeyRecord, KeyUse } from './key-record.ts';
import { SqlKeyStore } from './key-store.ts';
import { type Device, PairedDevices, type Pairing } from './paired-devices.ts';
import type { RateLimits, RateTaken } from './rate-limit.ts';

/** Whether a request may be made, and by which key. */
export interface Admission {
  readonly key: KeyRecord | null;
  readonly rate: RateTaken;
}

/** Doorman of {@link Account} and its {@link PairedDevices}: storage and RPC. One for each account, and for each network prefix that asks without one. */
export class AccountObject extends DurableObject<Env> {
  readonly #account: Account;
  #devices: PairedDevices | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    let store: SqlKeyStore | null = null;
    this.#account = new Account(
      () => {
        store ??= new SqlKeyStore(ctx.storage.sql);
        return store;
      },
      () => Date.now(),
    );
  }

  /** A request of so many tokens at most. `digest` null: without a key. */
  admit(digest: string | null, use: KeyUse, limits: RateLimits, tokens: number): Reply<Admission> {
    return this.#reply(() => {
      const key = digest === null ? null : this.#account.authenticate(digest, use);
      return { key, rate: this.#account.count(limits, tokens) };
    });
  }

  authenticate(digest: string, use: KeyUse): Reply<KeyRecord> {
    return this.#reply(() => this.#account.authenticate(digest, use));
  }

  mayStillRun(key: string, model: string | null): Reply<KeyRecord> {
    return this.#reply(() => this.#account.mayStillRun(key, model));
  }

  addKey(digest: string, name: string, limits: KeyLimits): Reply<KeyRecord> {
    return this.#reply(() => this.#account.addKey(digest, name, limits));
  }

  keys(): Reply<KeyRecord[]> {
    return this.#reply(() => this.#account.keys());
  }

  revoke(id: string): Reply<KeyRecord> {
    return this.#reply(() => this.#account.revoke(id));
  }

  offerPairing(code: string, pairing: Pairing): Reply<null> {
    return this.#reply(() => {
      this.#paired().offer(code, pairing);
      return null;
    });
  }

  pairing(code: string): Reply<Pairing> {
    return this.#reply(() => this.#paired().pairing(code));
  }

  redeemPairing(code: string, tab: string): Reply<Device> {
    return this.#reply(() => this.#paired().redeem(code, tab));
  }

  devices(): Reply<Device[]> {
    return this.#reply(() => this.#paired().all());
  }

  device(tab: string): Reply<Device | null> {
    return this.#reply(() => this.#paired().get(tab));
  }

  removeDevice(tab: string): Reply<boolean> {
    return this.#reply(() => this.#paired().remove(tab));
  }

  /** Made when devices are spoken of: somebody without an account leaves nothing behind. */
  #paired(): PairedDevices {
    this.#devices ??= new PairedDevices(this.ctx.storage.sql, () => Date.now());
    return this.#devices;
  }

  #reply<T>(act: () => T): Reply<T> {
    try {
      return { ok: true, value: act() };
    } catch (cause) {
      const error = ShoalError.from(cause);
      if (error.code === 'internal_error') {
        console.error(JSON.stringify({ event: 'account_failed', reason: String(cause) }));
      }
      return { ok: false, error: error.toWire() };
    }
  }
}

/** The object of an account. Names come out of keys of ours or out of the router's MAC, never from unchecked text. */
export function accountStub(env: Env, name: AccountName): DurableObjectStub<AccountObject> {
  return env.ACCOUNT.get(env.ACCOUNT.idFromName(name));
}
