import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'vite';
import type { Catalogue } from '../shared/classes/catalogue.ts';
import { buildClient } from './build-client.ts';
import { assembleModels } from './models/catalogue-files.ts';
import { DIST, ROOT } from './paths.ts';

/**
 * Pages, client package and models as static files in `dist/`. Models are kept from one build to the next: they are named by their digest. Returns the catalogue
 * that is served.
 */
export async function buildAll(quiet: boolean): Promise<Catalogue> {
  for (const name of await readdir(DIST).catch(() => [])) {
    if (name !== 'models') await rm(join(DIST, name), { recursive: true, force: true });
  }
  await build({ configFile: join(ROOT, 'vite.config.ts'), logLevel: quiet ? 'error' : 'info' });
  await buildClient(join(DIST, 'client'), false);
  return assembleModels();
}

if (import.meta.filename === process.argv[1]) await buildAll(process.argv.includes('--quiet'));
