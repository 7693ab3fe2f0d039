import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Places in the repository that scripts share. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));
export const DIST = join(ROOT, 'dist');
export const CACHE = join(ROOT, '.cache');
export const EMBEDDED_MODELS = join(ROOT, 'models', 'embedded');
export const LOCAL_MODELS = join(ROOT, 'models', 'local');
