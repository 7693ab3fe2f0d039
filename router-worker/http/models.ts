import type { Hono } from 'hono';
import type { ModelEntry, ServedVariant } from '../../shared/classes/catalogue.ts';
import { isExactClass } from '../../shared/classes/class-id.ts';
import { LEVELS } from '../../shared/protocol/level.ts';
import { levelPercent, SLA_PERCENT } from '../../shared/receipt/price-rule.ts';
import { pricePerToken } from '../models/price.ts';
import { SENTENCE_TABLE_MODEL } from '../models/sentence-table.ts';
import { findVariants, servedCatalogue } from '../models/served-catalogue.ts';
import { poolStub } from '../pool/pool-address.ts';
import type { Census } from '../pool/tab-roster.ts';
import type { Demand } from '../pool/wanted-classes.ts';
import type { AppEnv } from './context.ts';

/** OpenAI's list of models; under `shoal` what this network adds: variants, classes, and how many tabs serve them now. The sentence table is listed for what it is. */
export function modelRoutes(app: Hono<AppEnv>): void {
  app.get('/v1/models', async (c) => {
    const served = await servedCatalogue(c.env);
    const tabs = await tabsByClass(c.env);
    const models = [...new Set(served.map(({ model }) => model))];
    return c.json({ object: 'list', data: [...models.map((model) => describe(model, served, tabs)), TABLE] });
  });

  app.get('/v1/models/:id', async (c) => {
    if (c.req.param('id') === SENTENCE_TABLE_MODEL) return c.json(TABLE);
    const served = await servedCatalogue(c.env);
    const [{ model }] = findVariants(served, c.req.param('id'), null);
    return c.json(describe(model, served, await tabsByClass(c.env)));
  });
}

/** The one model that no tab is needed for. */
const TABLE = {
  id: SENTENCE_TABLE_MODEL,
  object: 'model',
  created: 0,
  owned_by: 'shoal',
  shoal: {
    name: 'Shoal Embed',
    description:
      'A table of word pieces that the router looks up itself: what a text is about, not whether it is true.',
    capabilities: ['embed'],
    dimensions: 64,
    licence: licenceView({
      id: 'apache-2.0',
      notice: 'Distilled from all-MiniLM-L6-v2 (Apache-2.0).',
      url: 'https://www.apache.org/licenses/LICENSE-2.0',
      mustShow: false,
    }),
    variants: [],
    tabs: 0,
  },
};

/** Percents of the plain price; each check more than one adds 100 at `cross` and `strict`. */
const PRICING = {
  unit: 'micro-credit',
  level_percent: Object.fromEntries(LEVELS.map((level) => [level, levelPercent(level, 1)])),
  sla_percent: SLA_PERCENT,
};

type Tabs = ReadonlyMap<string, Partial<Census & Demand>>;

async function tabsByClass(env: AppEnv['Bindings']): Promise<Tabs> {
  const pool = poolStub(env);
  const [census, demand] = await Promise.all([pool.census(), pool.demand()]);
  const byClass = new Map<string, Partial<Census & Demand>>(census.map((entry) => [entry.class, entry]));
  for (const entry of demand) byClass.set(entry.class, { ...byClass.get(entry.class), ...entry });
  return byClass;
}

/** `must_show`: notice and address are to be shown before the weights are fetched. */
function licenceView({ id, notice, url, mustShow }: ModelEntry['licence']) {
  return { id, notice, url, must_show: mustShow };
}

function describe(model: ModelEntry, served: readonly ServedVariant[], tabs: Tabs) {
  const variants = model.variants.map((variant) => {
    const classes = served
      .filter((entry) => entry.model === model && entry.variant === variant)
      .map(({ class: id }) => ({
        id,
        exact: isExactClass(id),
        tabs: tabs.get(id)?.tabs ?? 0,
        free_tabs: tabs.get(id)?.free ?? 0,
        check_only_tabs: tabs.get(id)?.checkers ?? 0,
        /** Requests in line that this class could serve, and those of the last five minutes that found nobody. */
        waiting_requests: tabs.get(id)?.waiting ?? 0,
        unserved_requests: tabs.get(id)?.unserved ?? 0,
      }));
    const total = (figure: 'tabs' | 'free_tabs' | 'check_only_tabs') =>
      classes.reduce((sum, entry) => sum + entry[figure], 0);
    return {
      id: variant.id,
      format: variant.format,
      bytes: variant.weights.bytes,
      /** What a tab needs to run it, bytes, estimated. */
      memory_bytes: variant.memoryBytes,
      needs: variant.needs,
      /** Whether the router has the weights; else tabs fetch them from mirrors. */
      hosted: variant.weights.hosted,
      mirrored: variant.weights.files.every(({ mirrors }) => mirrors.length > 0),
      /** Micro-credits for each token read or written, at level `none`. */
      price_per_token: pricePerToken({ model, variant }),
      sha256: variant.weights.sha256,
      tabs: total('tabs'),
      free_tabs: total('free_tabs'),
      check_only_tabs: total('check_only_tabs'),
      classes,
    };
  });
  return {
    id: model.id,
    object: 'model',
    created: 0,
    owned_by: 'shoal',
    shoal: {
      name: model.name,
      description: model.description,
      capabilities: model.capabilities,
      context_tokens: model.contextTokens,
      dimensions: model.embed?.dimensions ?? null,
      defaults: model.defaults,
      licence: licenceView(model.licence),
      pricing: PRICING,
      variants,
      tabs: variants.reduce((total, variant) => total + variant.tabs, 0),
    },
  };
}
