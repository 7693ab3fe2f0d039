import type { ModelEntry, ServedVariant } from '../../shared/classes/catalogue.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';
import { type Level, strongest } from '../../shared/protocol/level.ts';
import { ANYWHERE, type Placement } from '../../shared/protocol/placement.ts';
import { BEST_MODEL, floorsOf } from '../../shared/protocol/session-api.ts';
import { bestServing } from '../models/best-serving.ts';
import { completeSampling } from '../models/complete-sampling.ts';
import { priceOf, pricesOf } from '../models/price.ts';
import { type TokensAtMost, tokensAtMost } from '../models/quote.ts';
import { findVariants, refuseHopeless, servedCatalogue } from '../models/served-catalogue.ts';
import type { Outlook } from '../pool/outlook.ts';
import { poolStub } from '../pool/pool-address.ts';
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
}

/** A request that may be given to a tab. */
export interface VerifiedRequest {
  /** Those that may serve it: of one model, and within the price ceiling. */
  readonly variants: readonly [ServedVariant, ...ServedVariant[]];
  readonly model: ModelEntry;
  readonly sampling: Sampling;
  readonly level: Level;
  readonly checks: 1 | 2 | 3;
  readonly tokens: TokensAtMost;
  /** The dearest of the variants, and the most that the task can cost by it, micro-credits. */
  readonly dearest: ServedVariant;
  readonly price: number;
  readonly placement: Placement;
  readonly deadlineAt: number | null;
  /** Null where nobody had to ask for it. */
  readonly outlook: Outlook | null;
}

/** Why a request is verified: to do it, to say whether it could be done, or to say what it costs, whoever may be there. */
export type Purpose = 'work' | 'dry_run' | 'quote';

/**
 * Verifies everything that can be verified before a tab is troubled: that the request agrees with its session, the model exists and can hold the prompt, the price ceiling
 * covers the quote, enough tabs serve, and one will be free in time. Throws `session_mismatch`, `model_not_found`, `context_length_exceeded`, `price_above_ceiling`, `no_tab`,
 * `deadline_unreachable`.
 */
export async function verifyRequest(
  c: AppContext,
  session: NamedSession | null,
  asked: Asked,
  purpose: Purpose,
): Promise<VerifiedRequest> {
  const settings = session?.settings ?? null;
  if (settings?.delivery === 'poll' && asked.awaitVerdict) {
    throw mismatch('its delivery is poll: verdicts are fetched, not waited for', 'shoal.await_verdict');
  }
  const name = settings?.model == null ? asked.model : agreedModel(settings.model, asked.model);
  const floors = settings === null ? { level: null, checks: 1 as const } : floorsOf(settings);
  const level = strongest(levelOf(c, asked.level ?? floors.level), floors.level);
  const checks = asked.checks > floors.checks ? asked.checks : floors.checks;
  const placement = settings?.placement ?? ANYWHERE;
  const ceiling = settings?.priceCeiling ?? null;

  const catalogue = await servedCatalogue(c.env);
  const isBest = name === BEST_MODEL;
  const named = isBest ? catalogue : findVariants(catalogue, name);
  const quoted = named.map((served) => {
    const sampling = completeSampling(served.model, asked.sampling);
    const tokens = tokensAtMost(served.model, asked.promptBytes, asked.messages, sampling.maxTokens);
    return { served, tokens, price: priceOf(served, tokens.total, level, checks) };
  });
  const fitting = isBest ? quoted.filter(({ served }) => fits(served.model, asked.promptBytes)) : quoted;
  const [first] = fitting.length > 0 ? fitting : quoted;
  if (first !== undefined && asked.promptBytes !== null) refuseHopeless(first.served.model, asked.promptBytes);
  const affordable = fitting.filter(({ price }) => ceiling === null || price <= ceiling);
  if (affordable.length === 0) throw aboveCeiling(ceiling ?? 0, Math.min(...fitting.map(({ price }) => price)));

  const needsOutlook =
    isBest || purpose !== 'work' || (settings !== null && (settings.tabs.min > 1 || settings.deadlineMs !== null));
  const most = Math.max(...affordable.map(({ tokens }) => tokens.completion));
  const classes = affordable.map(({ served }) => served.class);
  const outlook = needsOutlook ? await poolStub(c.env).outlook(placement, classes, most) : null;
  const best = isBest
    ? bestServing(
        affordable.map(({ served }) => served),
        outlook?.serving ?? [],
      )
    : null;
  const chosen = affordable.filter(({ served }) => best?.includes(served) ?? true);
  const [cheapest, ...dearer] = chosen.toSorted((a, b) => a.price - b.price);
  if (cheapest === undefined) throw noTab(c, 'any model', null);
  const dearest = dearer.at(-1) ?? cheapest;
  const { model } = dearest.served;
  if (outlook !== null && purpose !== 'quote') {
    const tabs = tabsOf(
      outlook,
      chosen.map(({ served }) => served.class),
    ).answering;
    const least = settings?.tabs.min ?? 1;
    if (tabs < least) throw noTab(c, model.id, { tabs, least });
    refuseLate(outlook, settings?.deadlineMs ?? null);
  }
  const [serving, ...others] = chosen.map(({ served }) => served);
  return {
    variants: [serving ?? dearest.served, ...others],
    model,
    sampling: completeSampling(model, asked.sampling),
    level,
    checks,
    tokens: dearest.tokens,
    dearest: dearest.served,
    price: dearest.price,
    placement,
    deadlineAt: settings?.deadlineMs == null ? null : Date.now() + settings.deadlineMs,
    outlook,
  };
}

/** `POST /v1/quotes`, and what `dry_run` gives. */
export function quoteView({ dearest, variants, model, level, checks, tokens, price, outlook }: VerifiedRequest) {
  return {
    object: 'quote',
    model: `${model.id}:${dearest.variant.id}`,
    level,
    checks,
    tokens_at_most: tokens,
    unit: 'micro-credit',
    price_at_most: price,
    prices_at_most: pricesOf(dearest, tokens.total, checks),
    charged: false,
    tabs: tabsOf(
      outlook,
      variants.map((served) => served.class),
    ),
    ahead: outlook?.ahead ?? 0,
    expected_wait_ms: outlook?.expectedWaitMs ?? null,
  };
}

function tabsOf(outlook: Outlook | null, classes: readonly string[]) {
  const entries = (outlook?.serving ?? []).filter((entry) => classes.includes(entry.class));
  const sum = (count: (entry: (typeof entries)[number]) => number) =>
    entries.reduce((total, entry) => total + count(entry), 0);
  return {
    answering: sum(({ tabs }) => tabs),
    free: sum(({ free }) => free),
    only_checking: sum(({ checkers }) => checkers),
  };
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

function noTab(c: AppContext, model: string, wanted: { readonly tabs: number; readonly least: number } | null) {
  const join = `Open ${new URL(c.req.url).origin}/join to lend one.`;
  const message =
    wanted === null || wanted.tabs === 0
      ? `No tab serves ${model} at the moment. ${join}`
      : `${wanted.tabs} of the ${wanted.least} tabs that the session wants serve ${model} at the moment. ${join}`;
  return new ShoalError('no_tab', message, {
    retryAfterMs: 15_000,
    param: (wanted?.least ?? 1) > 1 ? 'tabs.min' : null,
  });
}

function aboveCeiling(ceiling: number, price: number): ShoalError {
  const message = `This can cost ${price} micro-credits; the session's price ceiling is ${ceiling}.`;
  return new ShoalError('price_above_ceiling', message, { param: 'price_ceiling' });
}

function mismatch(why: string, param: string): ShoalError {
  return new ShoalError('session_mismatch', `The request does not agree with its session: ${why}.`, { param });
}
