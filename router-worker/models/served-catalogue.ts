import * as v from 'valibot';
import {
  CATALOGUE_PATH,
  type Capability,
  catalogue,
  everyClass,
  type ModelEntry,
  type ServedVariant,
  variantsNamed,
} from '../../shared/classes/catalogue.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { Env } from '../env.ts';

/** Time after which the catalogue is read again, ms: a model added while the router runs shows up soon. */
const KEPT_MS = 5_000;

let cached: { readonly readAt: number; readonly variants: ServedVariant[] } | null = null;

/** Every class of every variant that this router offers, whether or not a tab serves it at the moment. */
export async function servedCatalogue(env: Env): Promise<ServedVariant[]> {
  if (cached === null || Date.now() - cached.readAt > KEPT_MS) {
    // The value is kept, not the promise: one request's reading ends with that request, and others would wait in vain.
    cached = { variants: await read(env), readAt: Date.now() };
  }
  return cached.variants;
}

async function read(env: Env): Promise<ServedVariant[]> {
  const response = await env.ASSETS.fetch(`https://assets.local${CATALOGUE_PATH}`);
  const parsed = response.ok ? v.safeParse(catalogue, await response.json()) : null;
  if (parsed?.success !== true) {
    throw new ShoalError('router_not_configured', 'The router has no catalogue of models: run npm run build.');
  }
  return everyClass(parsed.output);
}

/**
 * The variants behind a name, of a model that can do what is asked. Throws `model_not_found`, naming the models that exist, and `invalid_value` where the model
 * can do something else.
 */
export function findVariants(
  variants: readonly ServedVariant[],
  name: string,
  capability: Capability | null,
): [ServedVariant, ...ServedVariant[]] {
  const [first, ...rest] = variantsNamed(variants, name);
  if (first !== undefined) {
    const { id, capabilities } = first.model;
    if (capability === null || capabilities.includes(capability)) return [first, ...rest];
    const message = `The model '${id}' can ${capabilities.join(' and ')}, not ${capability}. GET /v1/models says what each can.`;
    throw new ShoalError('invalid_value', message, { param: 'model' });
  }
  const known = [...new Set(variants.map(({ model }) => model.id))];
  throw new ShoalError(
    'model_not_found',
    `There is no model '${name.slice(0, 128)}'. This router has: ${known.join(', ')}.`,
    {
      param: 'model',
    },
  );
}

/**
 * Refuses a prompt that cannot fit, before a tab is troubled: n bytes are at least n ÷ (longest token) tokens. Closer calls are made by the
 * tab, which has the tokenizer. Throws `context_length_exceeded`.
 */
export function refuseHopeless(model: ModelEntry, bytes: number, param = 'messages'): void {
  const leastTokens = Math.ceil(bytes / model.longestTokenBytes);
  if (leastTokens < model.contextTokens) return;
  throw new ShoalError(
    'context_length_exceeded',
    `This ${model.chat === null ? 'text' : 'conversation'} has at least ${leastTokens} tokens; ${model.id} has a context of ${model.contextTokens}.`,
    { param },
  );
}
