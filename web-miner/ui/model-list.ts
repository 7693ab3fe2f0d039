import * as v from 'valibot';
import { NEEDS, webAddress } from '../../shared/classes/catalogue.ts';

/** The part of `GET /v1/models` that the pages show of a model. */
const listedModel = v.object({
  id: v.string(),
  shoal: v.object({
    name: v.string(),
    description: v.string(),
    context_tokens: v.number(),
    capabilities: v.array(v.string()),
    tabs: v.number(),
    licence: v.object({
      id: v.string(),
      notice: v.string(),
      /** What is no address of the web is no link. */
      url: v.fallback(v.nullable(webAddress), null),
      /** Notice and address are to be shown before the weights are fetched. */
      must_show: v.boolean(),
    }),
    variants: v.array(
      v.object({
        id: v.string(),
        format: v.picklist(['gguf', 'mlc']),
        bytes: v.number(),
        memory_bytes: v.number(),
        needs: v.array(v.picklist(NEEDS)),
        tabs: v.number(),
        classes: v.array(v.object({ id: v.string() })),
      }),
    ),
  }),
});
export type ListedModel = v.InferOutput<typeof listedModel>;

const modelList = v.object({
  data: v.pipe(
    v.array(v.looseObject({ shoal: v.looseObject({ variants: v.array(v.unknown()) }) })),
    // The table that the router looks up itself has none: no tab serves it.
    v.transform((all): unknown[] => all.filter(({ shoal }) => shoal.variants.length > 0)),
    v.array(listedModel),
  ),
});

const DEADLINE_MS = 10_000;

/** Models that can do one of these. Throws `Error` with a sentence for the page when the router cannot be asked. */
export async function fetchModels(...capabilities: readonly ('chat' | 'embed')[]): Promise<ListedModel[]> {
  const response = await fetch('/v1/models', { signal: AbortSignal.timeout(DEADLINE_MS) }).catch(() => null);
  if (response === null) throw new Error('The router could not be reached. Is it running?');
  const body: unknown = await response.json().catch(() => null);
  const parsed = v.safeParse(modelList, body);
  if (parsed.success) {
    return parsed.output.data.filter(({ shoal }) => capabilities.some((one) => shoal.capabilities.includes(one)));
  }
  const message = (body as { error?: { message?: unknown } } | null)?.error?.message;
  throw new Error(typeof message === 'string' ? message : `The router answered ${response.status}.`);
}
