import { DurableObject } from 'cloudflare:workers';
import { ShoalError } from '../../shared/errors.ts';
import type { Env } from '../env.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { AllPools, type SeenPools } from '../pool/all-pools.ts';
import type { LivePool } from '../pool/live-pool.ts';
import type { Reply } from '../session/session-object.ts';
import type { FinishedTask } from './finished-task.ts';
import { LiveView } from './live-view.ts';
import { MINUTE_MS, NetworkHistory } from './network-history.ts';
import { SqlNetworkStore } from './network-store.ts';
import { type HistoryView, historyView, type NetworkView, networkView } from './network-view.ts';

/** Doorman of {@link NetworkHistory} and {@link LiveView}: storage, RPC, and a look at the pools every minute while there are tabs. Nothing on a request's path waits for it. */
export class NetworkObject extends DurableObject<Env> {
  readonly #history = new NetworkHistory(new SqlNetworkStore(this.ctx.storage.sql), () => Date.now());
  readonly #live = new LiveView(
    () => this.#askPools(),
    () => Date.now(),
  );
  /** Of the last look. */
  #pools: Pick<SeenPools<LivePool>, 'pools' | 'silent'> = { pools: 1, silent: 0 };

  view(): Promise<Reply<NetworkView>> {
    return this.#reply(async () => networkView(this.#history, await this.#live.get(), this.#pools));
  }

  points(): Promise<Reply<HistoryView>> {
    return this.#reply(async () => historyView(this.#history));
  }

  async #reply<T>(act: () => Promise<T>): Promise<Reply<T>> {
    try {
      await this.watch();
      return { ok: true, value: await act() };
    } catch (cause) {
      const error = ShoalError.from(cause);
      if (error.code === 'internal_error') {
        console.error(JSON.stringify({ event: 'network_failed', reason: String(cause) }));
      }
      return { ok: false, error: error.toWire() };
    }
  }

  /** Tasks that ended. Sessions may tell of one twice. */
  async ended(tasks: readonly FinishedTask[]): Promise<void> {
    this.#history.ended(tasks);
    await this.watch();
  }

  /** Looks at the pool every minute from now on, as long as there are tabs. */
  async watch(): Promise<void> {
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(nextMinute());
  }

  override async alarm(): Promise<void> {
    let isEmpty = false;
    try {
      const { pool } = await this.#live.get();
      this.#history.sampled(pool);
      isEmpty = pool.tabs === 0 && pool.waiting === 0;
    } catch (cause) {
      console.error(JSON.stringify({ event: 'network_look_failed', reason: String(cause) }));
    }
    // Where nobody is, nothing is to be seen: the next tab wakes it.
    if (!isEmpty) await this.ctx.storage.setAlarm(nextMinute());
  }

  async #askPools(): Promise<LivePool> {
    const classesOf = new Map<string, string[]>();
    for (const { model, class: id } of await servedCatalogue(this.env)) {
      classesOf.set(model.id, [...(classesOf.get(model.id) ?? []), id]);
    }
    const models = [...classesOf].map(([model, classes]) => ({ model, classes }));
    const { seen, ...pools } = await new AllPools(this.env).live(models);
    this.#pools = pools;
    return seen;
  }
}

/** In the middle of the next minute, so that each has its one look, whichever way the clock jitters. */
function nextMinute(): number {
  const at = Date.now();
  return at - (at % MINUTE_MS) + 1.5 * MINUTE_MS;
}
