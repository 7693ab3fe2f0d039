import { ATTACKS, groupSizeOf, type Kind } from './tab-kinds.ts';

/**
 * Tabs of each kind: the hostile ones spread over the attacks in whole groups, in turn, as far as they go; `broken` of the rest (a share) computes
 * wrong without knowing.
 */
export function tabsOfKinds(
  tabs: number,
  hostile: number,
  broken: number,
  attacks: readonly Kind[] = ATTACKS,
): Partial<Record<Kind, number>> {
  const counts: Partial<Record<Kind, number>> = {};
  let left = Math.round(tabs * hostile);
  for (let placed = true; placed; ) {
    placed = false;
    for (const kind of attacks) {
      const size = groupSizeOf(kind);
      if (size > left) continue;
      counts[kind] = (counts[kind] ?? 0) + size;
      left -= size;
      placed = true;
    }
  }
  const honest = tabs - Object.values(counts).reduce((sum, count) => sum + count, 0);
  const wrong = Math.round(honest * broken);
  return { honest: honest - wrong, broken: wrong, ...counts };
}
