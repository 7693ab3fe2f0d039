import type { Bytes } from '../../shared/bytes.ts';
import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { readSentenceEmbedding } from '../../shared/checking/sentence-embedding.ts';
import { RECEIPT_KEPT_MS } from '../../shared/limits.ts';
import { NO_LINKS } from '../../shared/peer/direct-links.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';
import { SealedTask, type TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';
import { generateSigningKeys, type Signer, signerOf } from '../../shared/signing/signed-statement.ts';
import type { Engine } from '../../web-miner/engine/engine.ts';
import type { PromptRenderer } from '../../web-miner/engine/render-prompt.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { createStoredIdentity, identityFrom } from '../../web-miner/identity/tab-identity.ts';
import { LendingTab, type TabSnapshot } from '../../web-miner/work/lending-tab.ts';
import { newTaskTail, type RouterKeys, routerKeys, sessionNameOf, sessionOfTask } from '../keys/router-keys.ts';
import { Pool } from '../pool/pool.ts';
import type { LeaseWant, SessionPort } from '../pool/pool-ports.ts';
import type { StreamSink } from '../pool/task-stream.ts';
import { Session } from '../session/session.ts';
import { MemorySessionStore } from './memory-session-store.ts';
import { Wire } from './wire.ts';

/**
 * The whole network in one process, for tests: the real pool, sessions, tabs and clients around scripted engines, joined by wires that a test can
 * cut or tamper with, under a clock that a test can move.
 */
export interface TestTab {
  readonly tab: LendingTab;
  readonly wire: Wire;
  readonly identity: string;
  readonly signer: Signer;
  readonly snapshot: () => TabSnapshot | null;
}

export interface TestAnswer {
  readonly task: SealedTask;
  readonly want: LeaseWant;
  readonly text: string;
  readonly updates: readonly TaskUpdate[];
  readonly verdict: Extract<TaskUpdate, { type: 'ended' }> | null;
}

export const TEST_SECRET = 'dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHkh';
export const TEST_CLASS = 'cls_AAAAAAAAAAAAAAAAAAAAAA';
export const TEST_SAMPLING: Sampling = {
  temperature: 0.8,
  topP: 1,
  topK: 0,
  minP: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  seed: 7,
  maxTokens: 60,
};

export const TEST_RENDERER: PromptRenderer = {
  render: (messages) => messages.map(({ role, content }) => `${role}: ${content}`).join('\n'),
};

/** A table of one word: enough for the code around it. */
function tinySentenceEmbedding(): ReturnType<typeof readSentenceEmbedding> {
  const words = ['shoal', 'tab', 'checks', 'and'];
  const vocabulary = new TextEncoder().encode(words.join('\n'));
  const dims = 2;
  const headerBytes = 256;
  const at = 8 + headerBytes;
  const header = {
    format: 'shoal-embed',
    version: 1,
    dims,
    rows: words.length,
    vocab_offset: at,
    vocab_bytes: vocabulary.byteLength,
    scale_offset: at + vocabulary.byteLength,
    data_offset: at + vocabulary.byteLength + words.length * 2,
  };
  const file = new Uint8Array(header.data_offset + words.length * dims);
  const view = new DataView(file.buffer);
  file.set(new TextEncoder().encode('SHEM'));
  view.setUint32(4, headerBytes, true);
  file.set(new TextEncoder().encode(JSON.stringify(header).padEnd(headerBytes)), 8);
  file.set(vocabulary, at);
  for (const row of words.keys()) {
    view.setUint16(header.scale_offset + row * 2, 0x3c00, true);
    view.setInt8(header.data_offset + row * dims, row + 1);
    view.setInt8(header.data_offset + row * dims + 1, 4 - row);
  }
  return readSentenceEmbedding(file);
}

export class TestNetwork {
  readonly keys: RouterKeys;
  readonly sessions = new Map<string, Session>();
  readonly events: { readonly event: string; readonly fields: Readonly<Record<string, string | number>> }[] = [];
  readonly client: Signer;
  pool: Pool;
  /** Calls every session twice, as after a lost reply, and believes the second answer. */
  doublesCalls = false;
  /** What a call of a session throws, when it throws. */
  sessionFault: Error | null = null;
  #skewMs = 0;
  #wires: Wire[] = [];
  #sinks = new Set<TestSink>();

  private constructor(keys: RouterKeys, client: Signer) {
    this.keys = keys;
    this.client = client;
    this.pool = this.#newPool();
  }

  static async create(): Promise<TestNetwork> {
    const { pair, publicKey } = await generateSigningKeys();
    return new TestNetwork(await routerKeys(TEST_SECRET), signerOf(pair.privateKey, publicKey));
  }

  now = (): number => Date.now() + this.#skewMs;

  /** Moves the clock and lets everybody look at it. */
  async advance(ms: number): Promise<void> {
    this.#skewMs += ms;
    this.pool.tick();
    for (const session of this.sessions.values()) {
      for (const { tail, ended } of await session.sweep()) this.pool.end(tail, ended);
    }
    await settle();
  }

  /** The pool loses its memory, and its streams break; sockets live on, as they do through hibernation. */
  loseMemory(): void {
    this.pool = this.#newPool();
    for (const sink of this.#sinks) sink.break();
    this.#sinks.clear();
    for (const wire of this.#wires) {
      const kept = wire.socket;
      if (kept?.attachment != null) this.pool.restore(kept.socket, kept.attachment);
    }
  }

  async addTab(
    options: {
      readonly engine?: Engine;
      readonly network?: string;
      readonly class?: string;
      readonly renderer?: PromptRenderer;
    } = {},
  ): Promise<TestTab> {
    const engine = options.engine ?? new ScriptedEngine();
    const load = { contextTokens: 512, threads: 1, batchTokens: 64, embeddings: false };
    await engine.load(new Blob(['GGUF']), load, new AbortController().signal);
    let wire: Wire | null = null;
    let snapshot: TabSnapshot | null = null;
    const identity = identityFrom(await createStoredIdentity());
    const tab = new LendingTab({
      identity,
      connect: (events) => {
        wire = new Wire(() => this.pool, events, options.network);
        return wire;
      },
      work: {
        model: 'test-model',
        variant: 'q8_0',
        class: options.class ?? TEST_CLASS,
        engine,
        renderer: options.renderer ?? TEST_RENDERER,
        sentence: tinySentenceEmbedding(),
      },
      links: () => NO_LINKS,
      decodeSpeed: 100,
      direct: false,
      onChange: (next) => {
        snapshot = next;
      },
    });
    if (wire === null) throw new Error('the tab opened no socket');
    this.#wires.push(wire);
    await until(() => snapshot?.tab != null, 'the tab joins');
    return { tab, wire, identity: identity.signer.publicKey, signer: identity.signer, snapshot: () => snapshot };
  }

  async want(part: Partial<LeaseWant> = {}): Promise<LeaseWant> {
    const session = await sessionNameOf(this.keys, 'test');
    return {
      task: await newTaskTail(this.keys, session),
      network: 'http://localhost',
      variants: [{ model: 'test-model', variant: 'q8_0', class: TEST_CLASS }],
      level: 'cross',
      private: false,
      sampling: TEST_SAMPLING,
      client: this.client.publicKey,
      nonce: toBase64Url(randomBytes(16)),
      prefer: null,
      token: 'token',
      readablePromptBytes: 3,
      ...part,
    };
  }

  /** A client's task, open and running. */
  async open(
    prompt: string,
    part: Partial<LeaseWant> = {},
  ): Promise<{ readonly task: SealedTask; readonly want: LeaseWant }> {
    const want = await this.want(part);
    const { stream, sink } = this.pipe();
    const poolStream = this.pool.request(want, sink);
    sink.onCancel = () => poolStream.gone();
    const task = new SealedTask(
      stream,
      {
        messages: [{ role: 'user', content: prompt }],
        stop: [],
        sampling: want.sampling,
        private: want.private,
        signer: this.client,
        nonce: want.nonce,
        routerKey: this.keys.signer.publicKey,
      },
      {
        deliver: (envelope) => this.pool.deliver(want.task, envelope),
        handOn: (wrap) => this.pool.handOn(want.task, wrap),
        reattach: async ({ statement }, from) => {
          const again = this.pipe();
          const streamAgain = await this.pool.reattach(want.task, statement, from, again.sink);
          again.sink.onCancel = () => streamAgain.gone();
          return again.stream;
        },
      },
    );
    return { task, want };
  }

  /** Asks and waits for the verdict. Throws what the task throws. */
  async ask(prompt: string, part: Partial<LeaseWant> = {}): Promise<TestAnswer> {
    const { task, want } = await this.open(prompt, part);
    return this.follow(task, want);
  }

  async follow(task: SealedTask, want: LeaseWant): Promise<TestAnswer> {
    const updates: TaskUpdate[] = [];
    for await (const update of task.updates()) updates.push(update);
    const text = updates.map((update) => (update.type === 'text' ? update.text : '')).join('');
    const ended = updates.find((update) => update.type === 'ended') ?? null;
    return { task, want, text, updates, verdict: ended };
  }

  async session(tail: string): Promise<Session> {
    const name = await sessionOfTask(this.keys, tail);
    let session = this.sessions.get(name);
    if (session === undefined) {
      session = new Session(new MemorySessionStore(RECEIPT_KEPT_MS), this.keys, this.now);
      this.sessions.set(name, session);
    }
    return session;
  }

  /** The stream of a task, as its reader and its pool hold it. */
  pipe(): { readonly stream: ReadableStream<Uint8Array>; readonly sink: TestSink } {
    const made = pipe();
    this.#sinks.add(made.sink);
    return made;
  }

  #newPool(): Pool {
    return new Pool({
      signer: this.keys.signer,
      sessions: this.#sessionPort(),
      now: this.now,
      busy: () => undefined,
      random: Math.random,
      log: (event, fields) => this.events.push({ event, fields }),
    });
  }

  #sessionPort(): SessionPort {
    const port = this.#sessionCalls();
    const wrapped = Object.entries(port).map(([name, call]: [string, (...args: never[]) => Promise<unknown>]) => [
      name,
      async (...args: never[]) => {
        if (this.sessionFault !== null) throw this.sessionFault;
        const first = await call(...args);
        return this.doublesCalls ? call(...args) : first;
      },
    ]);
    return Object.fromEntries(wrapped) as SessionPort;
  }

  #sessionCalls(): SessionPort {
    return {
      open: async (terms) => (await this.session(terms.task)).open(terms),
      committed: async (tail, ...rest) => (await this.session(tail)).committed(...rest),
      checkLeased: async (tail, ...rest) => (await this.session(tail)).checkLeased(...rest),
      handedOn: async (tail) => (await this.session(tail)).handedOn(tail),
      checkCommitted: async (tail, ...rest) => (await this.session(tail)).checkCommitted(...rest),
      checkRevealed: async (tail, ...rest) => (await this.session(tail)).checkRevealed(...rest),
      checkFailed: async (tail, ...rest) => (await this.session(tail)).checkFailed(tail, ...rest),
      failed: async (tail, code) => (await this.session(tail)).failed(tail, code),
      standing: async (tail) => (await this.session(tail)).standing(tail),
    };
  }
}

interface TestSink extends StreamSink {
  onCancel: () => void;
  /** The connection between pool and reader is gone; neither side said anything. */
  break(): void;
}

/** A byte stream that a test reads and the pool writes. */
function pipe(): { readonly stream: ReadableStream<Uint8Array>; readonly sink: TestSink } {
  let controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  const sink: TestSink = {
    onCancel: () => undefined,
    write: async (bytes: Bytes) => controller?.enqueue(bytes.slice()),
    close: () => {
      controller?.close();
      controller = null;
    },
    break: () => {
      controller?.error(new Error('the object was evicted'));
      controller = null;
    },
  };
  const stream = new ReadableStream<Uint8Array>({
    start(given) {
      controller = given;
    },
    cancel() {
      controller = null;
      sink.onCancel();
    },
  });
  return { stream, sink };
}

/** Lets everything that is under way in this process come to rest for a moment. */
export async function settle(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setTimeout(resolve, 0));
}

export async function until(condition: () => boolean, what: string, deadlineMs = 5_000): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
