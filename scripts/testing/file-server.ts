import { createServer } from 'node:http';

/** What a server of files does with requests below a path. */
export type Manner = 'ranges' | 'no_ranges' | 'no_cors' | 'sends_on' | 'another_file';

export interface FileServer {
  readonly url: string;
  readonly files: Map<string, Buffer>;
  /** The `Range` headers of requests that were answered, in order; null where there was none. */
  readonly ranges: (string | null)[];
  /** Time between two chunks of an answer, ms: for a test that must come in between. */
  chunkMs: number;
  /** By the first part of the path; left out: ranges. */
  readonly manners: Map<string, Manner>;
  close(): Promise<void>;
}

const CHUNK_BYTES = 256 * 1024;

/** Files by HTTP on this machine, as a mirror would serve them: `/MIRROR/NAME`. */
export async function serveFiles(): Promise<FileServer> {
  const files = new Map<string, Buffer>();
  const manners = new Map<string, Manner>();
  const ranges: (string | null)[] = [];
  const server = createServer(async (request, response) => {
    response.setHeader('cross-origin-resource-policy', 'cross-origin');
    if (request.method === 'OPTIONS') return response.writeHead(204).end();
    const [, mirror = '', ...rest] = (request.url ?? '').split('/');
    const file = files.get(rest.join('/'));
    const manner = manners.get(mirror) ?? 'ranges';
    if (manner !== 'no_cors') response.setHeader('access-control-allow-origin', '*');
    if (file === undefined) return response.writeHead(404).end();
    if (manner === 'sends_on') {
      const { port } = request.socket.address() as { port: number };
      return response.writeHead(302, { location: `http://localhost:${port}/plain/${rest.join('/')}` }).end();
    }
    const body = manner === 'another_file' ? Buffer.concat([file, file]) : file;
    ranges.push(request.headers.range ?? null);
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (from === undefined || manner === 'no_ranges') return response.writeHead(200).end(body);
    const part = body.subarray(Number(from), Number(to) + 1);
    response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${body.length}` });
    for (let at = 0; at < part.length && !response.destroyed; at += CHUNK_BYTES) {
      response.write(part.subarray(at, at + CHUNK_BYTES));
      if (served.chunkMs > 0) await new Promise((resolve) => setTimeout(resolve, served.chunkMs));
    }
    return response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const served: FileServer = {
    url: `http://127.0.0.1:${port}`,
    files,
    ranges,
    chunkMs: 0,
    manners,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return served;
}
