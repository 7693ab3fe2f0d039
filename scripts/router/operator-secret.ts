import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { type RouterKeys, routerKeys } from '../../router-worker/keys/router-keys.ts';
import { ShoalError } from '../../shared/errors.ts';
import { CommandError } from '../command-line.ts';
import { ROOT } from '../paths.ts';

/** The keys of the operator's router: from SHOAL_ROUTER_SECRET, or from the secret of `npm start`. Throws {@link CommandError}. */
export async function operatorKeys(): Promise<RouterKeys> {
  const file = join(ROOT, '.dev.vars');
  const kept = existsSync(file) ? parseEnv(await readFile(file, 'utf8')).SHOAL_ROUTER_SECRET : undefined;
  try {
    return await routerKeys(process.env.SHOAL_ROUTER_SECRET ?? kept);
  } catch (cause) {
    const { message } = ShoalError.from(cause);
    throw new CommandError(`${message} Run npm start first, or set SHOAL_ROUTER_SECRET to that of the router.`);
  }
}
