import { createApp } from './http/app.ts';

export { PoolObject } from './pool/pool-object.ts';
export { SessionObject } from './session/session-object.ts';

export default createApp();
