import { TRUST_POLICY } from '../record/policy.ts';
import { newRecord, observe, type TabRecord } from '../record/record.ts';
import { TEST_CLASS } from './network.ts';

/** The record of a tab that has passed just enough tasks of the network to be trusted. */
export function qualifiedRecord(tab: string, at: number): TabRecord {
  const seen = { outcome: 'agreed', at, role: 'answer', source: 'network' } as const;
  let record = newRecord(tab, TEST_CLASS, at);
  for (let i = 0; i < TRUST_POLICY.qualifyingPasses; i++) record = observe(record, seen);
  return record;
}
