import type { Catalogue } from '../shared/classes/catalogue.ts';

const CONNECTIONS = "connect-src 'self'";

/**
 * The `_headers` file of the pages, with leave to connect to where this catalogue's weights lie, and to nowhere else: mirrors of what the router does not host, and the
 * origins that they send on to. Throws when the file has no place for them.
 */
export function admitMirrors(file: string, { models }: Catalogue): string {
  if (!file.includes(CONNECTIONS)) throw new Error(`_headers has no ${CONNECTIONS}`);
  const origins = models
    .flatMap(({ variants }) => variants.map(({ weights }) => weights))
    .flatMap(({ files, redirectOrigins }) => [...files.flatMap(({ mirrors }) => mirrors), ...redirectOrigins])
    .map((address) => new URL(address).origin);
  return file.replace(CONNECTIONS, [CONNECTIONS, ...new Set(origins)].join(' '));
}

/** The headers of the section for every path in a `_headers` file. */
export function securityHeaders(file: string): Record<string, string> {
  const section = file.split(/\n(?=\/)/).find((part) => part.startsWith('/*\n')) ?? '';
  return Object.fromEntries(
    section
      .split('\n')
      .slice(1)
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')).trim(), line.slice(line.indexOf(':') + 1).trim()]),
  );
}
