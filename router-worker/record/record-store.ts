import type { TabRecord } from './record.ts';

/** What is remembered of tabs, synchronous: one record for each identity and class. */
export interface RecordStore {
  load(tab: string, classId: string): TabRecord | null;
  save(record: TabRecord): void;
  /** All records of an identity, in the order of their classes. */
  ofTab(tab: string): TabRecord[];
  /**
   * Removes records without an observation since an instant, and beyond `most` those that say least: the unqualified before the others, the longest
   * unseen first. Whoever is banned stays.
   */
  forget(seenBefore: number, most: number): void;
}

/** What is forgotten first when there are too many records: cheap new identities are not to push out those that were earned. */
export function worthOf({ state }: TabRecord): number {
  if (state.name === 'banned') return 2;
  return state.name === 'qualifying' ? 0 : 1;
}
