import { createApp } from './http/app.ts';

export { AccountObject } from './accounts/account-object.ts';
export { LedgerObject } from './ledger/ledger-object.ts';
export { LogObject } from './log/log-object.ts';
export { PoolObject } from './pool/pool-object.ts';
export { SessionObject } from './session/session-object.ts';

export default createApp();
