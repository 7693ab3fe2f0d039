import { createServer } from 'node:net';

const TRIES = 50;

/** The first free port from `from` on, on both loopback addresses. Throws when none of the next fifty is free. */
export async function freePort(from: number): Promise<number> {
  for (let port = from; port < from + TRIES; port++) {
    if ((await isFree(port, '127.0.0.1')) && (await isFree(port, '::1'))) return port;
  }
  throw new Error(`No port from ${from} to ${from + TRIES - 1} is free.`);
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (cause: NodeJS.ErrnoException) =>
      resolve(cause.code === 'EADDRNOTAVAIL' || cause.code === 'EAFNOSUPPORT'),
    );
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
