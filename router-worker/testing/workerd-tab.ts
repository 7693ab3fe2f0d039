import { SELF } from 'cloudflare:test';
import { readSentenceEmbedding } from '../../shared/checking/sentence-embedding.ts';
import type { Connection } from '../../shared/peer/connection.ts';
import { NO_LINKS } from '../../shared/peer/direct-links.ts';
import { CLOSE } from '../../shared/protocol/tab-socket.ts';
import type { Signer } from '../../shared/signing/signed-statement.ts';
import type { Engine } from '../../web-miner/engine/engine.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { createStoredIdentity, identityFrom, type TabIdentity } from '../../web-miner/identity/tab-identity.ts';
import { LendingTab, type TabSnapshot } from '../../web-miner/work/lending-tab.ts';
import { until } from './network.ts';

export interface WorkerdTab {
  readonly tab: LendingTab;
  readonly identity: string;
  readonly signer: Signer;
  readonly snapshot: () => TabSnapshot | null;
  /** The network breaks, without a word. */
  break(): void;
  reconnect(): Promise<void>;
  /** Codes with which the router closed its sockets. */
  readonly closes: number[];
  /** Changes what the tab sends; the hostile part of a hostile tab. */
  tamper: (data: string | Uint8Array<ArrayBuffer>) => string | Uint8Array<ArrayBuffer>;
}

const PUP = { model: 'shoal-pup-3m', variant: 'q8_0', embeds: false };

/** The real tab code around a scripted engine, on a real socket of the Worker under test. */
export async function lendWorkerdTab(
  classId: string,
  sentenceTable: Uint8Array<ArrayBuffer>,
  engine: Engine = new ScriptedEngine(),
  served: { readonly model: string; readonly variant: string; readonly embeds: boolean } = PUP,
  /** What the platform says of its socket, and what its client does. */
  from: { readonly cf?: object; readonly headers?: Readonly<Record<string, string>> } = {},
  { identity = null, query: named }: { readonly identity?: TabIdentity | null; readonly query?: string } = {},
): Promise<WorkerdTab> {
  const options = { contextTokens: 512, threads: 1, batchTokens: 64, embeddings: served.embeds };
  await engine.load(new Blob(['GGUF']), options, new AbortController().signal);
  const own = identity ?? identityFrom(await createStoredIdentity());
  let snapshot: TabSnapshot | null = null;
  let socket: WebSocket | null = null;
  let connect: (() => Promise<void>) | null = null;

  const made: Pick<WorkerdTab, 'tamper' | 'closes'> = { tamper: (data) => data, closes: [] };
  const tab = new LendingTab({
    identity: own,
    connect: (events, query) => {
      const connection: Connection = {
        get isOpen() {
          return socket !== null;
        },
        send(data) {
          if (socket === null) return false;
          socket.send(made.tamper(data));
          return true;
        },
        close(code) {
          socket?.close(code);
          socket = null;
        },
        retryNow() {},
      };
      connect = async () => {
        const response = await SELF.fetch(`https://shoal.test/v1/tabs/socket${named ?? query()}`, {
          ...from,
          headers: { ...from.headers, upgrade: 'websocket' },
        } as RequestInit);
        const opened = response.webSocket;
        if (opened === null) throw new Error(`no socket: ${response.status} ${await response.text()}`);
        opened.accept();
        opened.binaryType = 'arraybuffer';
        socket = opened;
        opened.addEventListener('message', ({ data }) => {
          if (socket === opened) events.onMessage(data as string | ArrayBuffer);
        });
        opened.addEventListener('close', ({ code, reason }) => {
          if (socket !== opened) return;
          socket = null;
          made.closes.push(code);
          if (code !== CLOSE.moved) return events.onState({ state: 'closed', code, reason });
          events.onState({ state: 'waiting', attempt: 0, retryAtMs: 0 });
          void connect?.();
        });
        events.onState({ state: 'open' });
      };
      return connection;
    },
    work: {
      model: served.model,
      variant: served.variant,
      class: classId,
      engine,
      renderer: { render: (messages) => messages.map(({ role, content }) => `${role}: ${content}`).join('\n') },
      sentence: readSentenceEmbedding(sentenceTable),
    },
    links: () => NO_LINKS,
    decodeSpeed: 100,
    direct: false,
    onChange: (next) => {
      snapshot = next;
    },
  });
  const reconnect = async () => {
    await connect?.();
    await until(() => snapshot?.tab != null, 'the tab joins');
  };
  await reconnect();
  return Object.assign(made, {
    tab,
    identity: own.signer.publicKey,
    signer: own.signer,
    snapshot: () => snapshot,
    break() {
      socket?.close(1011, 'cut');
      socket = null;
    },
    reconnect,
  });
}
