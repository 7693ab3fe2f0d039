import type { Hono } from 'hono';
import type { ModelEntry, ServedVariant } from '../../shared/classes/catalogue.ts';
import { isExactClass } from '../../shared/classes/class-id.ts';
import { LEVELS } from '../../shared/protocol/level.ts';
import { levelPercent, SLA_PERCENT } from '../../shared/receipt/price-rule.ts';
import { pricePerToken } from '../models/price.ts';
import { SENTENCE_TABLE_MODEL } from '../models/sentence-table.ts';
import { findVariants, servedCatalogue } from '../models/served-catalogue.ts';
import { AllPools } from '../pool/all-pools.ts';
import { type TabKind, tabsServing } from '../pool/tab-roster.ts';
import type { Demand } from '../pool/wanted-classes.ts';
import type { AppEnv } from './context.ts';

/** OpenAI's list of models; under `shoal` what this network adds: variants, classes, and how many tabs serve them now. The sentence table is listed for what it is. */
export function modelRoutes(app: Hono<AppEnv>): void {
  app.get('/v1/models', async (c) => {
    const served = await servedCatalogue(c.env);
    const tabs = await tabsNow(c.env);
    const models = [...new Set(served.map(({ model }) => model))];
    return c.json({ object: 'list', data: [...models.map((model) => describe(model, served, tabs)), TABLE] });
  });

  app.get('/v1/models/:id', async (c) => {
    if (c.req.param('id') === SENTENCE_TABLE_MODEL) return c.json(TABLE);
    const served = await servedCatalogue(c.env);
    const [{ model }] = findVariants(served, c.req.param('id'), null);
    return c.json(describe(model, served, await tabsNow(c.env)));
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

interface Tabs {
  readonly kinds: readonly TabKind[];
  readonly demand: ReadonlyMap<string, Demand>;
}

async function tabsNow(env: AppEnv['Bindings']): Promise<Tabs> {
  const pools = new AllPools(env);
  const [kinds, demand] = await Promise.all([pools.kinds(), pools.demand()]);
  return { kinds, demand: new Map(demand.map((entry) => [entry.class, entry])) };
}

/** `must_show`: notice and address are to be shown before the weights are fetched. */
function licenceView({ id, notice, url, mustShow }: ModelEntry['licence']) {
  return { id, notice, url, must_show: mustShow };
}

/** Each tab once, however many of these classes it serves. */
function tabCounts({ kinds }: Tabs, classes: readonly string[]) {
  const { tabs, free, checkers } = tabsServing(kinds, classes);
  return { tabs, free_tabs: free, check_only_tabs: checkers };
}

function describe(model: ModelEntry, served: readonly ServedVariant[], tabs: Tabs) {
  const variants = model.variants.map((variant) => {
    const classes = served
      .filter((entry) => entry.model === model && entry.variant === variant)
      .map(({ class: id }) => ({
        id,
        exact: isExactClass(id),
        ...tabCounts(tabs, [id]),
        /** Requests in line that this class could serve, and those of the last five minutes that found nobody. */
        waiting_requests: tabs.demand.get(id)?.waiting ?? 0,
        unserved_requests: tabs.demand.get(id)?.unserved ?? 0,
      }));
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
      ...tabCounts(
        tabs,
        classes.map(({ id }) => id),
      ),
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
      tabs: tabCounts(
        tabs,
        variants.flatMap(({ classes }) => classes.map(({ id }) => id)),
      ).tabs,
    },
  };
}
