import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Places in the repository that scripts share. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Where the router's static files go. The variable is for tests. */
export const DIST = process.env.SHOAL_DIST ?? join(ROOT, 'dist');
export const CACHE = join(ROOT, '.cache');
export const EMBEDDED_MODELS = join(ROOT, 'models', 'embedded');
/** Models that were added on this machine; `SHOAL_LOCAL_MODELS` puts them elsewhere. */
export const LOCAL_MODELS = process.env.SHOAL_LOCAL_MODELS ?? join(ROOT, 'models', 'local');
