import * as v from 'valibot';
import { ShoalError } from '../errors.ts';
import { MAX_PLACED_TABS, MAX_SESSION_LIFE_S } from '../limits.ts';
import { key32 } from '../signing/signed-statement.ts';
import { translateCortensorFields } from './cortensor-session.ts';
import { fieldError, isRecord } from './field-errors.ts';
import { shownText } from './fields.ts';
import { refuseInheritedNames } from './inherited-names.ts';
import { type Level, level, strongest } from './level.ts';
import type { SessionPlacement } from './placement.ts';

/** `POST /v1/sessions`, `PATCH /v1/sessions/:id`. Every parameter is honoured, or refused by name with the reason. */

/** Life of a session that does not say, seconds: a week. */
const DEFAULT_LIFE_S = 7 * 24 * 3600;

/** The shortest deadline that an answer can be held to, ms: the pool looks at its clock once a second. */
const LEAST_DEADLINE_MS = 1_000;

/** The model that stands for the best that serves when the request comes. */
export const BEST_MODEL = 'best';

const whole = (least: number, most: number) => v.pipe(v.number(), v.safeInteger(), v.minValue(least), v.maxValue(most));
const optional = <T extends v.GenericSchema>(schema: T) => v.optional(schema);
const credits = whole(1, 1_000_000_000_000_000);
const tabNames = v.pipe(v.array(key32), v.maxLength(MAX_PLACED_TABS));
const metadataPair = v.record(v.pipe(v.string(), v.maxLength(64)), v.pipe(v.string(), v.maxLength(512)));

const sessionRequest = v.strictObject({
  name: optional(shownText(200)),
  /** Kept and given back, read by nobody: up to 16 short texts by name, or one text. */
  metadata: optional(
    v.union([
      v.pipe(v.string(), v.maxLength(4096)),
      v.pipe(
        metadataPair,
        v.check((pairs) => Object.keys(pairs).length <= 16, 'at most 16 entries'),
      ),
    ]),
  ),
  /** A name from `/v1/models`, with or without a variant, or `best`. */
  model: optional(v.pipe(v.string(), v.minLength(1), v.maxLength(128))),
  tabs: optional(v.strictObject({ min: optional(whole(1, 1_000)), max: optional(whole(1, 1_000)) })),
  redundancy: optional(whole(1, 4)),
  level: optional(level),
  checks: optional(v.picklist([1, 2, 3])),
  sla: optional(v.picklist(['fast', 'standard', 'batch'])),
  budget: optional(credits),
  price_ceiling: optional(credits),
  max_tasks: optional(whole(1, 1_000_000_000)),
  deadline_ms: optional(whole(LEAST_DEADLINE_MS, 600_000)),
  placement: optional(
    v.strictObject({
      regions: optional(v.pipe(v.array(v.pipe(v.string(), v.maxLength(64))), v.maxLength(64))),
      own_devices_only: optional(v.boolean()),
      allow: optional(v.pipe(tabNames, v.minLength(1))),
      block: optional(tabNames),
    }),
  ),
  store: optional(v.boolean()),
  delivery: optional(v.picklist(['stream', 'poll', 'webhook'])),
  expires_in_s: optional(whole(60, MAX_SESSION_LIFE_S)),
});
type SessionRequest = v.InferOutput<typeof sessionRequest>;

/** What a session asks for, complete. Kept as JSON: fields may be added, never repurposed. */
export interface SessionSettings {
  readonly name: string;
  readonly metadata: string | Readonly<Record<string, string>>;
  /** Null: each request names its own. */
  readonly model: string | null;
  /** Fewest tabs that must serve the model; most that may answer for the session at once. Null: no bound. */
  readonly tabs: { readonly min: number; readonly max: number | null };
  /** Tabs that run each task: the one that answers, and those that must write the same. */
  readonly redundancy: number;
  /** Floors of every request. */
  readonly level: Level | null;
  readonly checks: 1 | 2 | 3;
  readonly sla: 'fast' | 'standard' | 'batch';
  /** Micro-credits: of all tasks together, and of each. */
  readonly budget: number | null;
  readonly priceCeiling: number | null;
  readonly maxTasks: number | null;
  /** From a request to the last token of its answer. */
  readonly deadlineMs: number | null;
  readonly placement: SessionPlacement;
  readonly delivery: 'stream' | 'poll';
  readonly lifeS: number;
}

/** What cannot be honoured yet, by its path, and why. */
const NOT_HONOURED: readonly {
  readonly param: string;
  readonly asked: (request: SessionRequest) => boolean;
  readonly why: string;
}[] = [
  {
    param: 'placement.regions',
    asked: ({ placement }) => (placement?.regions ?? []).length > 0,
    why: 'the router does not know where a tab is',
  },
  {
    param: 'store',
    asked: ({ store }) => store === true,
    why: 'the router keeps neither prompts nor answers',
  },
  {
    param: 'delivery',
    asked: ({ delivery }) => delivery === 'webhook',
    why: 'the router calls nobody; follow the session at /v1/sessions/:id/events',
  },
];

/**
 * The settings that a body asks for, over those that hold already (null: a new session). A null in the body takes a parameter back to its default.
 * Validated as a whole: nothing changes when anything is wrong. Throws an error of the vocabulary that names the field.
 */
export function parseSessionSettings(body: unknown, current: SessionSettings | null): SessionSettings {
  if (!isRecord(body)) throw new ShoalError('invalid_json', 'The body must be one JSON object.');
  refuseInheritedNames(body);
  const asked = mergePatch(current === null ? {} : requestOf(current), translateCortensorFields(body));
  for (const param of ['metadata', 'tabs', 'placement']) {
    // To a schema of an object a list is one too.
    if (!Array.isArray(asked[param])) continue;
    throw new ShoalError('invalid_type', `The field '${param}' must be of type object.`, { param });
  }
  const parsed = v.safeParse(sessionRequest, asked);
  if (!parsed.success) throw fieldError(parsed.issues[0], asked);
  const request = parsed.output;
  for (const { param, asked: isAsked, why } of NOT_HONOURED) {
    if (!isAsked(request)) continue;
    throw new ShoalError('unsupported_field', `The field '${param}' is not honoured at this value: ${why}.`, { param });
  }
  const settings: SessionSettings = {
    name: request.name ?? '',
    metadata: request.metadata ?? {},
    model: request.model ?? null,
    tabs: { min: request.tabs?.min ?? 1, max: request.tabs?.max ?? null },
    redundancy: request.redundancy ?? 1,
    level: request.level ?? null,
    checks: request.checks ?? 1,
    sla: request.sla ?? 'standard',
    budget: request.budget ?? null,
    priceCeiling: request.price_ceiling ?? null,
    maxTasks: request.max_tasks ?? null,
    deadlineMs: request.deadline_ms ?? null,
    placement: {
      ownDevicesOnly: request.placement?.own_devices_only ?? false,
      allow: request.placement?.allow ?? null,
      block: request.placement?.block ?? [],
    },
    delivery: request.delivery === 'poll' ? 'poll' : 'stream',
    lifeS: request.expires_in_s ?? DEFAULT_LIFE_S,
  };
  refuseContradictions(settings);
  return settings;
}

/** The least level of a session's requests, and the agreeing checks of each: redundancy means that others run the task too. */
export function floorsOf({ level: least, checks, redundancy }: SessionSettings): {
  readonly level: Level | null;
  readonly checks: 1 | 2 | 3;
} {
  const agreeing = Math.max(checks, redundancy - 1);
  return {
    level: redundancy > 1 ? strongest(least, 'cross') : least,
    checks: agreeing >= 3 ? 3 : agreeing === 2 ? 2 : 1,
  };
}

/** The settings as a body that would ask for them; also how they are shown. */
export function requestOf(settings: SessionSettings) {
  return {
    name: settings.name,
    metadata: settings.metadata,
    ...(settings.model !== null && { model: settings.model }),
    tabs: { min: settings.tabs.min, ...(settings.tabs.max !== null && { max: settings.tabs.max }) },
    redundancy: settings.redundancy,
    ...(settings.level !== null && { level: settings.level }),
    checks: settings.checks,
    sla: settings.sla,
    ...(settings.budget !== null && { budget: settings.budget }),
    ...(settings.priceCeiling !== null && { price_ceiling: settings.priceCeiling }),
    ...(settings.maxTasks !== null && { max_tasks: settings.maxTasks }),
    ...(settings.deadlineMs !== null && { deadline_ms: settings.deadlineMs }),
    placement: {
      regions: [],
      own_devices_only: settings.placement.ownDevicesOnly ?? false,
      ...(settings.placement.allow !== null && { allow: settings.placement.allow }),
      block: settings.placement.block,
    },
    store: false,
    delivery: settings.delivery,
    expires_in_s: settings.lifeS,
  };
}

/** RFC 7396, as deep as the parameters go: `tabs` and `placement` are merged, null removes, everything else replaces. */
function mergePatch(base: Record<string, unknown>, patch: Record<string, unknown>): Record<string, unknown> {
  const result = { ...base };
  for (const [name, value] of Object.entries(patch)) {
    const before = result[name];
    if (value === null) delete result[name];
    else if (isRecord(value) && name !== 'metadata') {
      const inner = { ...(isRecord(before) ? before : {}), ...value };
      result[name] = Object.fromEntries(Object.entries(inner).filter(([, part]) => part !== null));
    } else result[name] = value;
  }
  return result;
}

function refuseContradictions(settings: SessionSettings): void {
  const { tabs, placement, budget, priceCeiling } = settings;
  if (tabs.max !== null && tabs.min > tabs.max) throw disagree('tabs.min', `${tabs.min} tabs are more than tabs.max`);
  if (budget !== null && priceCeiling !== null && priceCeiling > budget) {
    throw disagree('price_ceiling', 'one task may not cost more than the budget of all');
  }
  if (placement.allow === null) return;
  const allowed = new Set(placement.allow.filter((tab) => !placement.block.includes(tab))).size;
  if (allowed === 0) throw disagree('placement.block', 'every tab of placement.allow is blocked');
  if (tabs.min > allowed) throw disagree('tabs.min', `placement.allow names ${allowed} tabs`);
  const floors = floorsOf(settings);
  const isChecked = floors.level === 'cross' || floors.level === 'strict';
  if (isChecked && floors.checks + 1 > allowed) {
    throw disagree('placement.allow', `it takes ${floors.checks + 1} tabs to answer and to check, and ${allowed} may`);
  }
}

function disagree(param: string, why: string): ShoalError {
  return new ShoalError('invalid_value', `The parameters do not agree: ${why}.`, { param });
}
