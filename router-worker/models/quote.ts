import { utf8 } from '../../shared/bytes.ts';
import type { ModelEntry, ServedVariant } from '../../shared/classes/catalogue.ts';
import type { Level } from '../../shared/protocol/level.ts';
import type { SlaClass } from '../../shared/receipt/price-rule.ts';
import type { Terms } from '../billing/bill.ts';
import { priceOf, pricePerToken } from './price.ts';

/** Tokens that a chat template spends on the frame of one message, at most. */
const TEMPLATE_TOKENS = 16;

/** Tokens that a model puts around a text that it embeds, at most. */
const ADDED_TOKENS = 4;

export interface TokensAtMost {
  readonly prompt: number;
  readonly completion: number;
  readonly total: number;
}

/**
 * Tokens that a request can have at most, without a tokenizer: a token has at least one byte, the template adds a few for each message, and neither prompt nor
 * answer can fill more than the context. `promptBytes` null: the router cannot see the prompt.
 */
export function tokensAtMost(
  model: Pick<ModelEntry, 'contextTokens'>,
  promptBytes: number | null,
  messages: number,
  maxTokens: number,
): TokensAtMost {
  const most = model.contextTokens;
  const prompt = promptBytes === null ? most : Math.min(most, promptBytes + TEMPLATE_TOKENS * (messages + 1));
  const completion = Math.min(most, maxTokens);
  return { prompt, completion, total: Math.min(most, prompt + completion) };
}

/** As {@link tokensAtMost}, of texts that are embedded: each has a context of its own, and nothing is written. */
export function embeddedTokensAtMost(
  { contextTokens }: Pick<ModelEntry, 'contextTokens'>,
  texts: readonly string[],
): TokensAtMost {
  const each = texts.map((text) => Math.min(contextTokens, utf8(text).byteLength + ADDED_TOKENS));
  const prompt = each.reduce((sum, tokens) => sum + tokens, 0);
  return { prompt, completion: 0, total: prompt };
}

/** What a task will be billed by, and the most that it can cost, micro-credits: of the variants that may serve it, the dearest. */
export function quoteFor(
  variants: readonly ServedVariant[],
  tokens: TokensAtMost,
  level: Level,
  wanted: number,
  sla: SlaClass = 'standard',
): { readonly terms: Terms; readonly amount: number } {
  const prices = Object.fromEntries(variants.map((served) => [served.variant.id, pricePerToken(served)]));
  const amount = Math.max(...variants.map((served) => priceOf(served, tokens.total, level, wanted, sla)));
  return { terms: { prices, level, wanted, sla, promptTokens: tokens.prompt, tokens: tokens.total }, amount };
}
