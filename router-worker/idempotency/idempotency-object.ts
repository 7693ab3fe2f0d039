import { DurableObject } from 'cloudflare:workers';
import type { Env } from '../env.ts';
import { type Admission, type KeptResponse, RequestKeys } from './request-keys.ts';

/** Doorman of {@link RequestKeys}: one owner's idempotency keys, and an alarm that forgets them. */
export class IdempotencyObject extends DurableObject<Env> {
  #keys: RequestKeys | null = null;

  async admit(digest: string, request: string): Promise<Admission> {
    const admission = this.#open().admit(digest, request);
    await this.#arm();
    return admission;
  }

  named(digest: string, task: string): void {
    this.#open().named(digest, task);
  }

  succeeded(digest: string, response: KeptResponse): void {
    this.#open().succeeded(digest, response);
  }

  failed(digest: string): void {
    this.#open().failed(digest);
  }

  override async alarm(): Promise<void> {
    this.#open().forget(Date.now());
    await this.#arm();
  }

  #open(): RequestKeys {
    this.#keys ??= new RequestKeys(this.ctx.storage.sql, () => Date.now());
    return this.#keys;
  }

  /** The alarm may come early: a key that succeeded is kept for longer than it ran. */
  async #arm(): Promise<void> {
    const at = this.#open().nextDueAt();
    if (at === null) {
      await this.ctx.storage.deleteAll(); // Nothing is kept any more: the storage is given back.
      this.#keys = null;
    } else if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(at);
  }
}
