import { createApp } from './http/app.ts';

export { AccountObject } from './accounts/account-object.ts';
export { PairingObject } from './accounts/pairing-object.ts';
export { BatchObject } from './batches/batch-object.ts';
export { IdempotencyObject } from './idempotency/idempotency-object.ts';
export { LedgerObject } from './ledger/ledger-object.ts';
export { LogObject } from './log/log-object.ts';
export { NetworkObject } from './network/network-object.ts';
export { PoolObject } from './pool/pool-object.ts';
export { SessionListObject } from './session/session-list-object.ts';
export { SessionObject } from './session/session-object.ts';

export default createApp();
