import { DurableObject } from 'cloudflare:workers';
import { ShoalError } from '../../shared/errors.ts';
import type { Env } from '../env.ts';
import { SessionList } from './session-list.ts';
import type { Reply } from './session-object.ts';

/** Doorman of {@link SessionList}: one an owner. */
export class SessionListObject extends DurableObject<Env> {
  #list: SessionList;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#list = this.#newList();
  }

  #newList(): SessionList {
    return new SessionList(this.ctx.storage.sql, () => Date.now());
  }

  async add(id: string, expiresAt: number): Promise<Reply<null>> {
    try {
      this.#list.add(id, expiresAt);
      await this.ctx.storage.setAlarm(this.#list.prune() ?? expiresAt);
      return { ok: true, value: null };
    } catch (cause) {
      return { ok: false, error: ShoalError.from(cause).toWire() };
    }
  }

  async renew(id: string, expiresAt: number): Promise<void> {
    this.#list.renew(id, expiresAt);
    await this.alarm();
  }

  async remove(ids: readonly string[]): Promise<void> {
    this.#list.remove(ids);
    await this.alarm();
  }

  async page(after: string | null, limit: number): Promise<Reply<{ ids: string[]; more: boolean }>> {
    try {
      return { ok: true, value: this.#list.page(after, limit) };
    } catch (cause) {
      return { ok: false, error: ShoalError.from(cause).toWire() };
    }
  }

  /** Forgets what has expired, and gives the storage back when nothing is left. */
  override async alarm(): Promise<void> {
    const next = this.#list.prune();
    if (next !== null) return this.ctx.storage.setAlarm(next);
    await this.ctx.storage.deleteAll();
    this.#list = this.#newList();
  }
}

/** `owner`: a name that the router's keyed hash has made. */
export function sessionListStub(env: Env, owner: string): DurableObjectStub<SessionListObject> {
  return env.SESSION_LIST.get(env.SESSION_LIST.idFromName(owner));
}
