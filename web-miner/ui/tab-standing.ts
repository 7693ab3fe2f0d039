import * as v from 'valibot';

/** How the network says that a tab stands: `GET /v1/tabs/:id`. */
const tabView = v.object({
  records: v.array(
    v.object({
      class: v.string(),
      standing: v.string(),
      text: v.string(),
      next: v.string(),
      waitsUntil: v.nullable(v.number()),
    }),
  ),
});
export type TabStanding = v.InferOutput<typeof tabView>['records'][number];

/** Null when nothing is known of the tab yet, or the router cannot be asked now. */
export async function fetchStanding(tab: string): Promise<TabStanding | null> {
  try {
    const response = await fetch(`/v1/tabs/${tab}`, { signal: AbortSignal.timeout(10_000) });
    const parsed = v.safeParse(tabView, await response.json());
    return parsed.success ? (parsed.output.records[0] ?? null) : null;
  } catch {
    return null;
  }
}
