import type { ModelEntry, ServedVariant } from '../../shared/classes/catalogue.ts';
import { ShoalError } from '../../shared/errors.ts';
import { NOT_SAMPLED, type Sampling } from '../../shared/protocol/lease.ts';
import { type Level, strongest } from '../../shared/protocol/level.ts';
import { ANYWHERE, type Placement } from '../../shared/protocol/placement.ts';
import { BEST_MODEL, floorsOf } from '../../shared/protocol/session-api.ts';
import type { Sla } from '../allocation/fair-line.ts';
import { bestServing } from '../models/best-serving.ts';
import { completeSampling } from '../models/complete-sampling.ts';
import { priceOf, pricesOf } from '../models/price.ts';
import { type TokensAtMost, tokensAtMost } from '../models/quote.ts';
import { findVariants, refuseHopeless, servedCatalogue } from '../models/served-catalogue.ts';
import { AllPools } from '../pool/all-pools.ts';
import type { Outlook } from '../pool/outlook.ts';
import { noTabWithin } from '../pool/stream-errors.ts';
import { slaOf } from './claim-of.ts';
import type { AppContext } from './context.ts';
import { levelOf } from './level-of.ts';
import type { NamedSession } from './named-session.ts';

/** What is asked, as far as the router must know it. */
export interface Asked {
  readonly model: string;
  /** UTF-8 bytes of the conversation; null: the router cannot see it. */
  readonly promptBytes: number | null;
  readonly messages: number;
  readonly sampling: Partial<Sampling>;
  readonly level: Level | null;
  readonly checks: 1 | 2 | 3;
  readonly awaitVerdict: boolean;
  /** Left out: those behind the name, of a model that chats. */
  readonly variants?: readonly [ServedVariant, ...ServedVariant[]];
  /** The field that the longest prompt came in; `messages` where it is left out. */
  readonly promptField?: string;
}

/** A request that agrees with its session, and that some model can hold. No price was held against anything, and no tab was looked for yet. */
export interface OfferedRequest {
  readonly session: NamedSession | null;
  readonly asked: Asked;
  /** Of the model: the narrower of the session's and the request's. */
  readonly name: string;
  /** Of request, header, operator and session. A key may want more. */
  readonly level: Level;
  readonly checks: 1 | 2 | 3;
  readonly sla: Sla;
  /** Those that can hold the prompt, of whatever model for `best`. */
  readonly fitting: readonly [ServedVariant, ...ServedVariant[]];
  /** Of the variant that takes the most. */
  readonly tokensAtMost: number;
}

/** A request that may be given to a tab. */
export interface VerifiedRequest {
  /** Those that may serve it: of one model, and within the price ceiling. */
  readonly variants: readonly [ServedVariant, ...ServedVariant[]];
  readonly model: ModelEntry;
  readonly sampling: Sampling;
  readonly level: Level;
  readonly checks: 1 | 2 | 3;
  readonly sla: Sla;
  readonly tokens: TokensAtMost;
  /** The dearest of the variants, and the most that the task can cost by it, micro-credits. */
  readonly dearest: ServedVariant;
  readonly price: number;
  readonly deadlineAt: number | null;
  /** Null where nobody had to ask for it. */
  readonly outlook: Outlook | null;
}

/** Why a request is verified: to do it, to say whether it could be done, or to say what it costs, whoever may be there. */
export type Purpose = 'work' | 'dry_run' | 'quote';

/**
 * Verifies what needs neither key nor tab: that the request agrees with its session, and the model exists and can hold the prompt. Throws `session_mismatch`,
 * `model_not_found`, `context_length_exceeded`, `invalid_value`.
 */
export async function offerRequest(c: AppContext, session: NamedSession | null, asked: Asked): Promise<OfferedRequest> {
  const settings = session?.settings ?? null;
  if (settings?.delivery === 'poll' && asked.awaitVerdict) {
    throw mismatch('its delivery is poll: verdicts are fetched, not waited for', 'shoal.await_verdict');
  }
  const name = modelWithin(session, asked.model);
  const floors = settings === null ? { level: null, checks: 1 as const } : floorsOf(settings);
  const level = strongest(levelOf(c, asked.level ?? floors.level), floors.level);
  const checks = asked.checks > floors.checks ? asked.checks : floors.checks;
  const sla = slaOf(c, settings);
  const fitting = await fittingVariants(c, name, asked);
  const tokensAtMost = Math.max(...fitting.map((served) => tokensOf(served, asked).total));
  return { session, asked, name, level, checks, sla, fitting, tokensAtMost };
}

/**
 * Verifies that the price ceiling covers the quote, that enough tabs serve, and one will be free in time. `floor`: least level of whoever asks. Throws
 * `price_above_ceiling`, `no_tab`, `deadline_unreachable`.
 */
export async function verifyRequest(
  c: AppContext,
  { session, asked, name, level: wanted, checks, sla, fitting }: OfferedRequest,
  floor: Level | null,
  purpose: Purpose,
): Promise<VerifiedRequest> {
  const settings = session?.settings ?? null;
  const placement = settings?.placement ?? ANYWHERE;
  const level = strongest(wanted, floor);
  const quoted = withinCeiling(
    fitting.map((served) => {
      const tokens = tokensOf(served, asked);
      return { served, tokens, price: priceOf(served, tokens.total, level, checks, sla) };
    }),
    settings?.priceCeiling ?? null,
  );
  const chosen = name === BEST_MODEL ? await bestOf(c, quoted, placement) : quoted;
  const [dearest] = chosen.toSorted((a, b) => b.price - a.price);
  const [first, ...others] = chosen.map(({ served }) => served);
  if (first === undefined || dearest === undefined) {
    throw placement.regions?.length ? noTabWithin(placement.regions, 'any model') : noTab(c, 'any model', null);
  }

  const { model } = first;
  const needsOutlook =
    purpose !== 'work' || (settings !== null && (settings.tabs.min > 1 || settings.deadlineMs !== null));
  const classes = chosen.map(({ served }) => served.class);
  const outlook = needsOutlook
    ? await new AllPools(c.env).outlook(placement, classes, dearest.tokens.completion)
    : null;
  if (outlook !== null && purpose !== 'quote') {
    const least = settings?.tabs.min ?? 1;
    if (outlook.able.tabs === 0 && placement.regions?.length) throw noTabWithin(placement.regions, model.id);
    if (outlook.able.tabs < least) {
      throw noTab(c, model.id, { tabs: outlook.able.tabs, least, isBound: placement.allow !== null });
    }
    refuseLate(outlook, settings?.deadlineMs ?? null);
  }
  return {
    variants: [first, ...others],
    model,
    sampling: pinned(model, asked.sampling),
    level,
    checks,
    sla,
    tokens: dearest.tokens,
    dearest: dearest.served,
    price: dearest.price,
    deadlineAt: settings?.deadlineMs == null ? null : Date.now() + settings.deadlineMs,
    outlook,
  };
}

interface QuotedVariant {
  readonly served: ServedVariant;
  readonly tokens: TokensAtMost;
  readonly price: number;
}

/** Variants behind a name that can hold the prompt. Throws what refuses them all. */
async function fittingVariants(
  c: AppContext,
  name: string,
  { promptBytes, promptField, variants }: Asked,
): Promise<[ServedVariant, ...ServedVariant[]]> {
  const catalogue = await servedCatalogue(c.env);
  const named =
    variants ??
    (name === BEST_MODEL
      ? catalogue.filter(({ model }) => model.capabilities.includes('chat'))
      : findVariants(catalogue, name, 'chat'));
  const [first, ...others] = named.filter(({ model }) => fits(model, promptBytes));
  if (first !== undefined) return [first, ...others];
  const [tooSmall] = named;
  if (tooSmall !== undefined) refuseHopeless(tooSmall.model, promptBytes ?? 0, promptField);
  throw noTab(c, 'any model', null); // A router without a model.
}

function tokensOf({ model }: ServedVariant, { promptBytes, messages, sampling }: Asked): TokensAtMost {
  return tokensAtMost(model, promptBytes, messages, pinned(model, sampling).maxTokens);
}

/** A model that embeds draws nothing. */
function pinned(model: ModelEntry, asked: Partial<Sampling>): Sampling {
  return model.defaults === null ? NOT_SAMPLED : completeSampling(model, asked);
}

/** Throws `price_above_ceiling` when none is left. */
function withinCeiling(quoted: readonly QuotedVariant[], ceiling: number | null): readonly QuotedVariant[] {
  refuseAbove(ceiling, Math.min(...quoted.map(({ price }) => price)));
  return quoted.filter(({ price }) => ceiling === null || price <= ceiling);
}

/** Empty where nobody serves any. */
async function bestOf(c: AppContext, quoted: readonly QuotedVariant[], placement: Placement): Promise<QuotedVariant[]> {
  const { serving } = await new AllPools(c.env).outlook(placement, [], 0);
  const best = bestServing(
    quoted.map(({ served }) => served),
    serving,
  );
  return quoted.filter(({ served }) => best.includes(served));
}

/** `POST /v1/quotes`, and what `dry_run` gives. Of several answers each is read and written by a tab of its own. */
export function quoteView({ dearest, model, level, checks, sla, tokens, outlook }: VerifiedRequest, answers = 1) {
  const total = answers * tokens.total;
  return {
    object: 'quote',
    model: `${model.id}:${dearest.variant.id}`,
    level,
    checks,
    answers,
    tokens_at_most: { prompt: answers * tokens.prompt, completion: answers * tokens.completion, total },
    unit: 'micro-credit',
    price_at_most: priceOf(dearest, total, level, checks, sla),
    prices_at_most: pricesOf(dearest, total, checks, sla),
    charged: false, // By this request.
    tabs: {
      answering: outlook?.able.tabs ?? 0,
      free: outlook?.able.free ?? 0,
      only_checking: outlook?.able.checkers ?? 0,
    },
    ahead: outlook?.ahead ?? 0,
    expected_wait_ms: outlook?.expectedWaitMs ?? null,
  };
}

/** What a request may name as its model, within its session. Throws `session_mismatch`. */
export function modelWithin(session: NamedSession | null, asked: string): string {
  const model = session?.settings.model ?? null;
  return model === null ? asked : agreedModel(model, asked);
}

/** The narrower of both names. Throws `session_mismatch` where neither contains the other. */
function agreedModel(ofSession: string, ofRequest: string): string {
  if (ofRequest === ofSession || ofRequest.startsWith(`${ofSession}:`)) return ofRequest;
  if (ofSession.startsWith(`${ofRequest}:`)) return ofSession;
  throw mismatch(`its model is '${ofSession}', not '${ofRequest.slice(0, 128)}'`, 'model');
}

function fits(model: ModelEntry, promptBytes: number | null): boolean {
  return promptBytes === null || Math.ceil(promptBytes / model.longestTokenBytes) < model.contextTokens;
}

function refuseLate(outlook: Outlook, deadlineMs: number | null): void {
  const { expectedWaitMs } = outlook;
  if (deadlineMs === null || expectedWaitMs === null || expectedWaitMs < deadlineMs) return;
  const message = `A tab is expected to be free in ${Math.ceil(expectedWaitMs / 1000)} seconds, and the deadline is ${deadlineMs} ms.`;
  throw new ShoalError('deadline_unreachable', message, {
    param: 'deadline_ms',
    retryAfterMs: Math.max(1_000, expectedWaitMs - deadlineMs),
  });
}

function noTab(
  c: AppContext,
  model: string,
  wanted: { readonly tabs: number; readonly least: number; readonly isBound: boolean } | null,
) {
  const join = `Open ${new URL(c.req.url).origin}/join to lend one.`;
  const message =
    wanted?.isBound && wanted.tabs === 0
      ? `None of the tabs that the session allows serves ${model} at the moment.`
      : wanted === null || wanted.tabs === 0
        ? `No tab serves ${model} at the moment. ${join}`
        : `${wanted.tabs} of the ${wanted.least} tabs that the session wants serve ${model} at the moment. ${join}`;
  return new ShoalError('no_tab', message, {
    retryAfterMs: 15_000,
    param: (wanted?.least ?? 1) > 1 ? 'tabs.min' : null,
  });
}

/** Throws `price_above_ceiling` for a task that can cost more than its session allows for one. */
export function refuseAbove(ceiling: number | null, price: number): void {
  if (ceiling === null || price <= ceiling) return;
  const message = `This can cost ${price} micro-credits; the session's price ceiling is ${ceiling}.`;
  throw new ShoalError('price_above_ceiling', message, { param: 'price_ceiling' });
}

function mismatch(why: string, param: string): ShoalError {
  return new ShoalError('session_mismatch', `The request does not agree with its session: ${why}.`, { param });
}
