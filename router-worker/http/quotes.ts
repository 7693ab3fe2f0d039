import type { Hono } from 'hono';
import { MAX_REQUEST_BODY_BYTES } from '../../shared/limits.ts';
import { parseChatRequest } from '../../shared/protocol/chat-api.ts';
import { promptBytes } from '../../shared/sealed-task/sealed-task.ts';
import { completeSampling } from '../models/complete-sampling.ts';
import { priceOf, pricesOf } from '../models/price.ts';
import { tokensAtMost } from '../models/quote.ts';
import { findVariants, refuseHopeless, servedCatalogue } from '../models/served-catalogue.ts';
import { poolStub } from '../pool/pool-address.ts';
import type { AppEnv } from './context.ts';
import { levelOf } from './level-of.ts';
import { readJson } from './read-body.ts';

/** What a chat request would cost at most, at each level, and who could answer and check it now. Nothing is begun. */
export function quoteRoutes(app: Hono<AppEnv>): void {
  app.post('/v1/quotes', async (c) => {
    const request = parseChatRequest(await readJson(c.req.raw, MAX_REQUEST_BODY_BYTES));
    const [served, ...others] = findVariants(await servedCatalogue(c.env), request.model);
    const { model } = served;
    const bytes = promptBytes(request.messages);
    refuseHopeless(model, bytes);
    const level = levelOf(c, request.level);
    const { maxTokens } = completeSampling(model, request.sampling);
    const each = tokensAtMost(model, bytes, request.messages.length, maxTokens);
    const answers = request.n * request.redundancy; // Each is read and written by a tab of its own.
    const tokens = answers * each.total;
    const classes = [served, ...others].map((entry) => entry.class);
    const census = (await poolStub(c.env).census()).filter((entry) => classes.includes(entry.class));
    const sum = (count: (entry: (typeof census)[number]) => number) =>
      census.reduce((total, entry) => total + count(entry), 0);
    return c.json({
      object: 'quote',
      model: `${model.id}:${served.variant.id}`,
      level,
      checks: request.checks,
      answers,
      tokens_at_most: { prompt: answers * each.prompt, completion: answers * each.completion, total: tokens },
      unit: 'micro-credit',
      price_at_most: priceOf(served, tokens, level, request.checks),
      prices_at_most: pricesOf(served, tokens, request.checks),
      charged: false, // By this request.
      tabs: {
        answering: sum(({ tabs }) => tabs),
        free: sum(({ free }) => free),
        only_checking: sum(({ checkers }) => checkers),
      },
    });
  });
}
