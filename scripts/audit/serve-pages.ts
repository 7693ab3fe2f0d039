import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { preview } from 'vite';
import { buildAll } from '../build.ts';
import { DIST, ROOT } from '../paths.ts';
import { freePort } from '../router/free-port.ts';
import { securityHeaders } from '../security-headers.ts';

export interface ServedPages {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * The built pages, engines and models of this copy of the source, on this machine alone and under the pages' own security policy. Built first where there is no build
 * yet. A router could serve a page that agrees with everything: an auditor uses none of a router's code.
 */
export async function servePages(): Promise<ServedPages> {
  if (!existsSync(join(DIST, 'audit.html'))) await buildAll(true);
  const port = await freePort(9600);
  const server = await preview({
    configFile: false,
    root: ROOT,
    logLevel: 'silent',
    appType: 'mpa',
    build: { outDir: DIST },
    preview: {
      host: '127.0.0.1',
      port,
      strictPort: true,
      headers: securityHeaders(await readFile(join(DIST, '_headers'), 'utf8')),
    },
  });
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() };
}
