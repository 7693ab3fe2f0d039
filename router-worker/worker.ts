import { createApp } from './http/app.ts';

export { LogObject } from './log/log-object.ts';
export { PoolObject } from './pool/pool-object.ts';
export { SessionListObject } from './session/session-list-object.ts';
export { SessionObject } from './session/session-object.ts';

export default createApp();
