import * as z from 'zod/mini';

/** The part of `GET /v1/models` that the pages show. */
const modelList = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      shoal: z.object({
        name: z.string(),
        description: z.string(),
        context_tokens: z.number(),
        tabs: z.number(),
        licence: z.object({ id: z.string(), notice: z.string() }),
        variants: z.array(z.object({ id: z.string(), bytes: z.number(), tabs: z.number() })),
      }),
    }),
  ),
});
export type ListedModel = z.infer<typeof modelList>['data'][number];

const DEADLINE_MS = 10_000;

/** Throws `Error` with a sentence for the page when the router cannot be asked. */
export async function fetchModels(): Promise<ListedModel[]> {
  const response = await fetch('/v1/models', { signal: AbortSignal.timeout(DEADLINE_MS) }).catch(() => null);
  if (response === null) throw new Error('The router could not be reached. Is it running?');
  const body: unknown = await response.json().catch(() => null);
  const parsed = modelList.safeParse(body);
  if (parsed.success) return parsed.data.data;
  const message = (body as { error?: { message?: unknown } } | null)?.error?.message;
  throw new Error(typeof message === 'string' ? message : `The router answered ${response.status}.`);
}
