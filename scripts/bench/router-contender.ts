import { join } from 'node:path';
import { ROOT } from '../paths.ts';
import { type Contender, readStream } from './contender.ts';
import { FixedEngine } from './fixed-engine.ts';
import { benchWork, lendNodeTab } from './node-tab.ts';
import { type RawWorkerd, serveRaw } from './raw-workerd.ts';

/** The router on raw workerd. */
export function serveRouter(port: number): Promise<RawWorkerd> {
  return serveRaw(
    {
      name: 'router',
      main: join(ROOT, 'router-worker', 'worker.ts'),
      objects: [
        { binding: 'POOL', className: 'PoolObject' },
        { binding: 'SESSION', className: 'SessionObject' },
        { binding: 'LOG', className: 'LogObject' },
        { binding: 'SESSION_LIST', className: 'SessionListObject' },
        { binding: 'BATCH', className: 'BatchObject' },
        { binding: 'IDEMPOTENCY', className: 'IdempotencyObject' },
        { binding: 'LEDGER', className: 'LedgerObject' },
        { binding: 'ACCOUNT', className: 'AccountObject' },
        { binding: 'NETWORK', className: 'NetworkObject' },
        { binding: 'PAIRING', className: 'PairingObject' },
      ],
      secret: 'YmVuY2htYXJrLXNlY3JldC1iZW5jaG1hcmstc2VjcmV0ISE',
      assets: true,
    },
    port,
  );
}

/** The router on raw workerd, with real tabs' code around engines that cost nothing. */
export async function routerContender(tabCount: number): Promise<Contender & { close(): Promise<void> }> {
  const server = await serveRouter(9801);
  const work = await benchWork();
  const engines: FixedEngine[] = [];
  const tabMs: number[] = [];
  const tabs = await Promise.all(
    Array.from({ length: tabCount }, () => {
      const engine = new FixedEngine();
      engines.push(engine);
      let receivedAt = 0;
      return lendNodeTab(server.url, work, engine, {
        received: (data) => {
          if (typeof data !== 'string') receivedAt = performance.now();
        },
        sending: (data) => {
          if (typeof data === 'string' || receivedAt === 0) return;
          tabMs.push(performance.now() - receivedAt);
          receivedAt = 0;
        },
      });
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
        model: `${work.model}:${work.variant}`,
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
