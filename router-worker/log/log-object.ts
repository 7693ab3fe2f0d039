import { DurableObject } from 'cloudflare:workers';
import { fromBase64Url } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { ConsistencyResponse, EntriesResponse, InclusionResponse } from '../../shared/receipt-log/log-api.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import type { Env } from '../env.ts';
import { routerKeys } from '../keys/router-keys.ts';
import type { Reply } from '../session/session-object.ts';
import { SqlLogStore } from './log-store.ts';
import { ReceiptLog } from './receipt-log.ts';

/** Doorman of {@link ReceiptLog}: storage and RPC. One for the network; nothing on a request's path waits for it. */
export class LogObject extends DurableObject<Env> {
  #log: Promise<ReceiptLog> | null = null;

  /** Digests of receipts, base64url. Sessions call it again until it has succeeded. */
  append(entries: readonly string[]): Promise<Reply<null>> {
    return this.#reply(async (log) => {
      await log.append(entries.map(fromBase64Url));
      return null;
    });
  }

  head(): Promise<Reply<Signed>> {
    return this.#reply((log) => log.head());
  }

  entries(from: number, limit: number): Promise<Reply<EntriesResponse>> {
    return this.#reply(async (log) => log.entries(from, limit));
  }

  inclusion(entry: string): Promise<Reply<InclusionResponse>> {
    return this.#reply((log) => log.inclusion(entry));
  }

  consistency(from: number, to: number | null): Promise<Reply<ConsistencyResponse>> {
    return this.#reply((log) => log.consistency(from, to));
  }

  #open(): Promise<ReceiptLog> {
    const { storage } = this.ctx;
    this.#log ??= routerKeys(this.env.SHOAL_ROUTER_SECRET).then(({ signer }) => {
      const store = new SqlLogStore(storage.sql, (act) => storage.transactionSync(act));
      return new ReceiptLog(store, signer, () => Date.now());
    });
    return this.#log;
  }

  async #reply<T>(act: (log: ReceiptLog) => Promise<T>): Promise<Reply<T>> {
    try {
      return { ok: true, value: await act(await this.#open()) };
    } catch (cause) {
      const error = ShoalError.from(cause);
      if (error.code === 'internal_error') {
        console.error(JSON.stringify({ event: 'log_failed', reason: String(cause) }));
      }
      return { ok: false, error: error.toWire() };
    }
  }
}
