import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toBytes } from '../../shared/bytes.ts';
import { readSentenceEmbedding } from '../../shared/checking/sentence-embedding.ts';
import { servedVariants } from '../../shared/classes/catalogue.ts';
import { NO_LINKS } from '../../shared/peer/direct-links.ts';
import { ReconnectingSocket } from '../../shared/peer/reconnecting-socket.ts';
import { createStoredIdentity, identityFrom } from '../../web-miner/identity/tab-identity.ts';
import { LendingTab } from '../../web-miner/work/lending-tab.ts';
import { assembleModels } from '../models/catalogue-files.ts';
import { EMBEDDED_MODELS, ROOT } from '../paths.ts';
import { type Contender, readStream } from './contender.ts';
import { FixedEngine } from './fixed-engine.ts';
import { serveRaw } from './raw-workerd.ts';

/** The router on raw workerd, with real tabs' code around engines that cost nothing. */
export async function routerContender(tabCount: number): Promise<Contender & { close(): Promise<void> }> {
  const server = await serveRaw(
    {
      name: 'router',
      main: join(ROOT, 'router-worker', 'worker.ts'),
      objects: [
        { binding: 'POOL', className: 'PoolObject' },
        { binding: 'SESSION', className: 'SessionObject' },
        { binding: 'LOG', className: 'LogObject' },
        { binding: 'LEDGER', className: 'LedgerObject' },
        { binding: 'ACCOUNT', className: 'AccountObject' },
      ],
      secret: 'YmVuY2htYXJrLXNlY3JldC1iZW5jaG1hcmstc2VjcmV0ISE',
      assets: true,
    },
    9801,
  );
  const served = (await servedVariants(await assembleModels())).find(({ variant }) => variant.id === 'q8_0');
  if (served === undefined) throw new Error('the embedded model is missing');
  const sentence = readSentenceEmbedding(
    toBytes(await readFile(join(EMBEDDED_MODELS, 'sentence-embedding', 'shoal-embed-64.bin'))),
  );
  const engines: FixedEngine[] = [];
  const tabMs: number[] = [];
  const tabs = await Promise.all(
    Array.from({ length: tabCount }, async () => {
      const engine = new FixedEngine();
      engines.push(engine);
      const joined = Promise.withResolvers<void>();
      let receivedAt = 0;
      const tab = new LendingTab({
        identity: identityFrom(await createStoredIdentity()),
        connect: ({ onMessage, onState }) => {
          const socket = new ReconnectingSocket({
            url: `${server.url.replace('http', 'ws')}/v1/tabs/socket`,
            finalCodes: [],
            onState,
            onMessage: (data) => {
              if (typeof data !== 'string') receivedAt = performance.now();
              onMessage(data);
            },
          });
          const send = socket.send.bind(socket);
          socket.send = (data) => {
            const isFrame = typeof data !== 'string';
            if (isFrame && receivedAt > 0) {
              tabMs.push(performance.now() - receivedAt);
              receivedAt = 0;
            }
            return send(data);
          };
          return socket;
        },
        work: {
          model: served.model.id,
          variant: served.variant.id,
          class: served.class,
          engine,
          renderer: { render: () => 'prompt' },
          sentence,
        },
        links: () => NO_LINKS,
        decodeSpeed: 100,
        direct: false,
        onChange: (snapshot) => {
          if (snapshot.tab !== null) joined.resolve();
        },
      });
      await joined.promise;
      return tab;
    }),
  );
  return {
    name: 'router',
    server,
    setPrefill: (ms) => {
      for (const engine of engines) engine.prefillMs = ms;
    },
    takeTabMs: () => tabMs.splice(0),
    async ask(tokens) {
      const body = JSON.stringify({
        model: `${served.model.id}:${served.variant.id}`,
        stream: true,
        max_tokens: tokens,
        messages: [{ role: 'user', content: `question` }],
        shoal: { level: 'none' },
      });
      const startedAt = performance.now();
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      return readStream(response, startedAt);
    },
    async close() {
      await Promise.all(tabs.map((tab) => tab.close()));
      await server.stop();
    },
  };
}
