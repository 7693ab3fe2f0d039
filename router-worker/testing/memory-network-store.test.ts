import { describe, it } from 'vitest';
import { SqlNetworkStore } from '../network/network-store.ts';
import { NETWORK_STORE_EXAM } from '../network/network-store-exam.ts';
import { MemoryNetworkStore } from './memory-network-store.ts';
import { NodeSql } from './node-sql.ts';

describe('the network store in memory', () => {
  it.each(NETWORK_STORE_EXAM)('$title', (examCase) => examCase.run(new MemoryNetworkStore()));
});

describe('the SQL network store on Node', () => {
  it.each(NETWORK_STORE_EXAM)('$title', (examCase) => examCase.run(new SqlNetworkStore(new NodeSql().sql)));
});
