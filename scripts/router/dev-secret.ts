import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Content of a variables file for `wrangler dev` with a fresh secret. */
export function freshSecret(): string {
  return `SHOAL_ROUTER_SECRET="${randomBytes(32).toString('base64url')}"\n`;
}

/** Makes the development router's secret at the first start. It stays out of the repository; production sets its own by `wrangler secret put`. */
export async function ensureDevSecret(root: string): Promise<string> {
  const file = join(root, '.dev.vars');
  if (!existsSync(file)) await writeFile(file, freshSecret(), { mode: 0o600, flag: 'wx' });
  return file;
}
