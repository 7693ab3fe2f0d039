import './require-node.ts';
import { join } from 'node:path';
import { buildAll } from './build.ts';
import { readArguments } from './command-line.ts';
import { ROOT } from './paths.ts';
import { ensureDevKey } from './router/dev-key.ts';
import { ensureDevSecret } from './router/dev-secret.ts';
import { freePort } from './router/free-port.ts';
import { startRouter } from './router/router-process.ts';

readArguments('npm start; PORT=… takes another port than 8787', {});
const WANTED_PORT = Number(process.env.PORT ?? 8787);
if (!Number.isInteger(WANTED_PORT) || WANTED_PORT < 1 || WANTED_PORT > 65_000) {
  console.error(`PORT must be a number from 1 to 65000, and is ${process.env.PORT}.`);
  process.exit(2);
}
const INSPECTOR_PORT = 9229;

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());

await buildAll(true);
const secretFile = await ensureDevSecret(ROOT);
const port = await freePort(WANTED_PORT);
if (port !== WANTED_PORT) console.log(`Port ${WANTED_PORT} is taken: using ${port}.`);

let ready = false;
const router = await startRouter({
  port,
  inspectorPort: await freePort(INSPECTOR_PORT),
  // A router on another port has objects of its own: two runtimes must not write one database.
  stateFolder: join(ROOT, '.wrangler', `state-${port}`),
  secretFile,
  signal: stop.signal,
  onLog: (line) => {
    if (ready) console.log(line);
  },
}).catch((cause) => {
  if (stop.signal.aborted) process.exit(0);
  console.error(cause instanceof Error ? cause.message : cause);
  process.exit(1);
});
ready = true;
const keyFile = join(ROOT, '.wrangler', `dev-key-${port}`);
const key = await ensureDevKey(router.url, secretFile, keyFile).catch((cause) => {
  console.error(`There is no development key: ${cause instanceof Error ? cause.message : cause}`);
  return null;
});

console.log(`
Shoal's router is running.

  Lend a tab    ${router.url}/join
  Ask           ${router.url}/chat
  Models        ${router.url}/v1/models
  Key           ${key ?? 'none: see above'}
                with credits to spend; on this machine one may also ask without a key

Open /join in two or more browser profiles, so that one can check the other; then, from any OpenAI client:

  curl ${router.url}/v1/chat/completions \\
    -H 'content-type: application/json' \\
    -H 'authorization: Bearer ${key ?? 'none'}' \\
    -d '{"model": "shoal-pup-3m", "stream": true, "messages": [{"role": "user", "content": "How do I make a cup of tea?"}]}'

Stop with Ctrl-C.
`);
await router.ended;
if (!stop.signal.aborted) {
  console.error('The router ended by itself. The lines above say why; start it again with npm start.');
  process.exitCode = 1;
}
