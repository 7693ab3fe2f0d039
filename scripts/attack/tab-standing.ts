import * as v from 'valibot';

/** The part of `GET /v1/tabs/:id` that is read here. */
const tabView = v.object({ records: v.array(v.object({ class: v.string(), standing: v.string() })) });

/** How a tab stands in a class by the router's own record; null where the router keeps no records, or has none of it. */
export async function tabStanding(url: string, tab: string, classId: string): Promise<string | null> {
  const response = await fetch(`${url}/v1/tabs/${tab}`);
  if (!response.ok) return null;
  const parsed = v.safeParse(tabView, await response.json());
  if (!parsed.success) return null;
  return parsed.output.records.find((record) => record.class === classId)?.standing ?? null;
}
