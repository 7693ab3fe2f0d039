import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ENGINE_BUILDS, enginePath } from '../shared/classes/wllama-build.ts';
import { DIST, ROOT } from './paths.ts';

/** Puts the WebAssembly of every engine build below `dist/engines`, named by its digest. Throws when a package carries another build than the table says. */
export async function placeEngines(): Promise<void> {
  for (const build of ENGINE_BUILDS) {
    const source = join(ROOT, 'node_modules', build.carriedBy, 'esm', 'wasm', 'wllama.wasm');
    const digest = createHash('sha256')
      .update(await readFile(source))
      .digest('hex');
    if (digest !== build.engineBuild) {
      throw new Error(`${build.carriedBy} carries the engine ${digest}, not ${build.engine} (${build.engineBuild}).`);
    }
    const target = join(DIST, enginePath(build));
    await mkdir(dirname(target), { recursive: true });
    await copyFile(source, target);
  }
}
