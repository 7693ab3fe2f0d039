import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'vite';
import type { Catalogue } from '../shared/classes/catalogue.ts';
import { buildClient } from './build-client.ts';
import { assembleModels } from './models/catalogue-files.ts';
import { placeSelfTests } from './models/place-self-tests.ts';
import { DIST, ROOT } from './paths.ts';
import { placeEngines } from './place-engines.ts';

/**
 * Pages, client package, engines and models as static files in `dist/`. Models are kept from one build to the next: they are named by their digest. Returns the catalogue
 * that is served.
 */
export async function buildAll(quiet: boolean): Promise<Catalogue> {
  for (const name of await readdir(DIST).catch(() => [])) {
    if (name !== 'models') await rm(join(DIST, name), { recursive: true, force: true });
  }
  await inProduction(async () => {
    await build({ configFile: join(ROOT, 'vite.config.ts'), logLevel: quiet ? 'error' : 'info' });
    await buildClient(join(DIST, 'client'), false);
  });
  await placeEngines();
  const catalogue = await assembleModels();
  await placeSelfTests(catalogue);
  return catalogue;
}

/** Libraries come in two builds, chosen by this variable: whoever has it set otherwise, as test runners do, would serve the slow one. */
async function inProduction(act: () => Promise<void>): Promise<void> {
  const before = process.env.NODE_ENV;
  process.env.NODE_ENV = 'production';
  try {
    await act();
  } finally {
    if (before === undefined) delete process.env.NODE_ENV;
    else process.env.NODE_ENV = before;
  }
}

if (import.meta.filename === process.argv[1]) await buildAll(process.argv.includes('--quiet'));
