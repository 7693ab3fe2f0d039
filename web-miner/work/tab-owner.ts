import * as v from 'valibot';
import { ShoalError } from '../../shared/errors.ts';
import { key32 } from '../../shared/protocol/fields.ts';
import { TAB_PROOF_HEADER, type TabOwnerAct, tabProof } from '../../shared/protocol/tab-owner-api.ts';
import type { Signer } from '../../shared/signing/signed-statement.ts';

/** Whom this tab works for and what it earned, micro-credits: `GET /v1/tabs/:id/owner`. */
const tabOwner = v.object({
  /** How the account is called; null: the tab is nobody's. */
  owner: v.nullable(v.string()),
  name: v.nullable(v.string()),
  earned: v.number(),
  today: v.number(),
  collected: v.number(),
  waiting: v.number(),
  held: v.number(),
  lost: v.number(),
  /** Every figure is a number of these. */
  step: v.number(),
});
export type TabOwner = v.InferOutput<typeof tabOwner>;

/** Who asks by a code. */
const offeredPairing = v.object({ owner: v.string(), devices: v.number(), expires_at: v.number() });
export type OfferedPairing = v.InferOutput<typeof offeredPairing>;

const wellKnown = v.object({ now: v.number(), router_keys: v.pipe(v.array(v.object({ key: key32 })), v.minLength(1)) });
const errorBody = v.object({ error: v.looseObject({ code: v.unknown(), message: v.unknown() }) });

const CALL_DEADLINE_MS = 10_000;

const METHODS = { look: 'GET', ask: 'POST', pair: 'POST', leave: 'DELETE' } as const;

/** What a tab asks its router about its owner; each call is signed with the tab's key. Throws {@link ShoalError}. */
export class TabOwnerCalls {
  readonly #origin: string;
  readonly #signer: Signer;
  readonly #fetch: typeof fetch;
  /** The router's key, and its clock minus ours, ms. */
  #router: Promise<{ readonly key: string; readonly offsetMs: number }> | null = null;

  constructor(origin: string, signer: Signer, fetcher: typeof fetch = (...call) => fetch(...call)) {
    this.#origin = origin;
    this.#signer = signer;
    this.#fetch = fetcher;
  }

  look(): Promise<TabOwner> {
    return this.#call('look', null, tabOwner);
  }

  /** Uses nothing of the code. */
  ask(code: string): Promise<OfferedPairing> {
    return this.#call('ask', code, offeredPairing);
  }

  pair(code: string): Promise<TabOwner> {
    return this.#call('pair', code, tabOwner);
  }

  leave(): Promise<TabOwner> {
    return this.#call('leave', null, tabOwner);
  }

  async #call<T>(act: TabOwnerAct, code: string | null, schema: v.GenericSchema<unknown, T>): Promise<T> {
    this.#router ??= this.#meet().catch((cause) => {
      this.#router = null;
      throw cause;
    });
    const { key: router, offsetMs } = await this.#router;
    const at = Math.round(Date.now() + offsetMs);
    const proof = await tabProof(this.#signer, { router, act, code, at });
    const path = `/v1/tabs/${this.#signer.publicKey}/owner`;
    const body = code === null ? {} : { body: JSON.stringify({ code, dry_run: act === 'ask' }) };
    const headers = { [TAB_PROOF_HEADER]: proof, ...(code !== null && { 'content-type': 'application/json' }) };
    return this.#json(path, schema, { method: METHODS[act], headers, ...body });
  }

  async #meet(): Promise<{ readonly key: string; readonly offsetMs: number }> {
    const { now, router_keys: keys } = await this.#json('/.well-known/shoal.json', wellKnown, {});
    return { key: keys[0]?.key ?? '', offsetMs: now - Date.now() };
  }

  async #json<T>(path: string, schema: v.GenericSchema<unknown, T>, init: RequestInit): Promise<T> {
    const call = { ...init, signal: AbortSignal.timeout(CALL_DEADLINE_MS), cache: 'no-store' } as const;
    const response = await this.#fetch(new URL(path, this.#origin), call);
    const told: unknown = await response.json().catch(() => null);
    const refused = v.safeParse(errorBody, told);
    if (refused.success) throw ShoalError.fromWire(refused.output.error);
    const parsed = v.safeParse(schema, told);
    if (!parsed.success)
      throw new ShoalError('integrity_failed', 'The router said something else than what was asked.');
    return parsed.output;
  }
}
