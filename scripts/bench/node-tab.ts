import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toBytes } from '../../shared/bytes.ts';
import { readSentenceEmbedding } from '../../shared/checking/sentence-embedding.ts';
import { servedVariants } from '../../shared/classes/catalogue.ts';
import type { Connection } from '../../shared/peer/connection.ts';
import { NO_LINKS } from '../../shared/peer/direct-links.ts';
import { ReconnectingSocket } from '../../shared/peer/reconnecting-socket.ts';
import { CLOSE } from '../../shared/protocol/tab-socket.ts';
import type { Engine } from '../../web-miner/engine/engine.ts';
import { createStoredIdentity, identityFrom } from '../../web-miner/identity/tab-identity.ts';
import { LendingTab } from '../../web-miner/work/lending-tab.ts';
import type { WorkModel } from '../../web-miner/work/work-model.ts';
import { assembleModels } from '../models/catalogue-files.ts';
import { EMBEDDED_MODELS } from '../paths.ts';

/** Sees, and may wrap, what goes through a tab's socket. */
export interface SocketProbe {
  received(data: string | ArrayBuffer): void;
  sending(data: string | Uint8Array): void;
}

/** What a tab of a bench works with, around an engine of the bench's own. */
export async function benchWork(): Promise<Omit<WorkModel, 'engine'>> {
  const served = (await servedVariants(await assembleModels())).find(({ variant }) => variant.id === 'q8_0');
  if (served === undefined) throw new Error('the embedded model is missing');
  const table = await readFile(join(EMBEDDED_MODELS, 'sentence-embedding', 'shoal-embed-64.bin'));
  return {
    model: served.model.id,
    variant: served.variant.id,
    class: served.class,
    renderer: { render: () => 'prompt' },
    sentence: readSentenceEmbedding(toBytes(table)),
  };
}

/** A tab's own code in Node, on a socket of the router at `url`. Resolves when it has joined. */
export async function lendNodeTab(
  url: string,
  work: Omit<WorkModel, 'engine'>,
  engine: Engine,
  probe?: SocketProbe,
): Promise<LendingTab> {
  const joined = Promise.withResolvers<void>();
  const tab = new LendingTab({
    identity: identityFrom(await createStoredIdentity()),
    connect: ({ onMessage, onState }, query): Connection => {
      const socket = new ReconnectingSocket({
        url: () => `${url.replace('http', 'ws')}/v1/tabs/socket${query()}`,
        finalCodes: [],
        movedCodes: [CLOSE.moved],
        onState,
        onMessage: (data) => {
          probe?.received(data);
          onMessage(data);
        },
      });
      const send = socket.send.bind(socket);
      socket.send = (data) => {
        probe?.sending(data);
        return send(data);
      };
      return socket;
    },
    work: { ...work, engine },
    links: () => NO_LINKS,
    decodeSpeed: 100,
    direct: false,
    onChange: (snapshot) => {
      if (snapshot.tab !== null) joined.resolve();
    },
  });
  await joined.promise;
  return tab;
}
