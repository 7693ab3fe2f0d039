import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { drawCommitment } from '../../shared/checking/draw.ts';
import { readSentenceEmbedding } from '../../shared/checking/sentence-embedding.ts';
import { RECEIPT_KEPT_MS } from '../../shared/limits.ts';
import { NO_LINKS } from '../../shared/peer/direct-links.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';
import { ANYWHERE } from '../../shared/protocol/placement.ts';
import type { TaskKind } from '../../shared/protocol/task-kind.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { SealedTask, type TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';
import { generateSigningKeys, type Signer, signerOf } from '../../shared/signing/signed-statement.ts';
import type { Engine } from '../../web-miner/engine/engine.ts';
import type { PromptRenderer } from '../../web-miner/engine/render-prompt.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { createStoredIdentity, identityFrom } from '../../web-miner/identity/tab-identity.ts';
import { LendingTab, type TabSnapshot } from '../../web-miner/work/lending-tab.ts';
import type { PricedHold } from '../billing/bill.ts';
import {
  drawSecret,
  isGuardPass,
  newTaskTail,
  type RouterKeys,
  routerKeys,
  sessionNameOf,
  sessionOfTask,
} from '../keys/router-keys.ts';
import { KnownAnswers } from '../network-tasks/known-answers.ts';
import type { NetworkTaskPorts } from '../network-tasks/network-tasks.ts';
import { type LocalSink, localStream } from '../pool/local-stream.ts';
import { Pool } from '../pool/pool.ts';
import { type LeaseWant, ONLY_POOL, type PoolPlace, type SessionPort } from '../pool/pool-ports.ts';
import { RecordBook } from '../record/record-book.ts';
import { Session } from '../session/session.ts';
import { MemoryReadingStore } from './memory-reading-store.ts';
import { MemoryRecordStore } from './memory-record-store.ts';
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
/** What is set aside for every task of the network, enough for any: at level `none`, 5 micro-credits for each token. */
export const TEST_HOLD: PricedHold = {
  amount: 1_000_000,
  terms: { prices: { q8_0: 5, q4_0: 3 }, level: 'none', wanted: 1, sla: 'standard', promptTokens: 500, tokens: 1_000 },
};

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
  /** What a pool keeps of its tabs when it loses its memory. */
  readonly records = new MemoryRecordStore();
  readonly readings = new MemoryReadingStore();
  readonly known = new KnownAnswers(new Map());
  /** Accounts of tabs that are paired, by identity: what the ledger would say. */
  readonly owners = new Map<string, string>();
  /** Model of the network's own tasks, whatever the class. */
  ownModel = 'test-model';
  ownKind: TaskKind = 'chat';
  pool: Pool;
  /** Which of the network's pools the pool is. */
  place: PoolPlace = ONLY_POOL;
  /** Calls every session twice, as after a lost reply, and believes the second answer. */
  doublesCalls = false;
  readonly networkTasks: NetworkTaskPorts | null;
  /** What a call of a session throws, when it throws. */
  sessionFault: Error | null = null;
  #skewMs = 0;
  #wires: Wire[] = [];
  #sinks = new Set<LocalSink>();

  private constructor(keys: RouterKeys, client: Signer, ownTasks: false | (() => number)) {
    this.keys = keys;
    this.networkTasks = ownTasks === false ? null : this.#ownTasks(ownTasks);
    this.client = client;
    this.pool = this.#newPool();
  }

  /** `ownTasks`: whether the network gives its tabs tasks of its own; by which chance it draws their questions. */
  static async create(options: { readonly ownTasks?: boolean | (() => number) } = {}): Promise<TestNetwork> {
    const { pair, publicKey } = await generateSigningKeys();
    const client = signerOf(pair.privateKey, publicKey);
    const own = options.ownTasks ?? false;
    return new TestNetwork(await routerKeys(TEST_SECRET), client, own === true ? Math.random : own);
  }

  now = (): number => Date.now() + this.#skewMs;

  /** Moves the clock and lets everybody look at it. */
  async advance(ms: number): Promise<void> {
    this.#skewMs += ms;
    this.pool.tick();
    for (const session of this.sessions.values()) {
      for (const { tail, decision } of await session.sweep()) await this.pool.decide(tail, decision);
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
      readonly model?: string;
      readonly variant?: string;
      readonly renderer?: PromptRenderer;
      readonly checkOnly?: boolean;
      readonly guard?: string;
      /** Called before it joins. */
      readonly onIdentity?: (identity: string) => void;
      /** What its socket says of it: by itself its own name, with what its place is reckoned from. Left out: it names nobody. */
      readonly named?: { readonly homeKey: string; readonly identity?: string };
      /** Called before it joins. */
      readonly onWire?: (wire: Wire) => void;
      /** Whether its model embeds, and does not chat. */
      readonly embeds?: boolean;
      /** Where it comes from, as far as the router knows. */
      readonly country?: string;
    } = {},
  ): Promise<TestTab> {
    const engine = options.engine ?? new ScriptedEngine();
    const load = { contextTokens: 512, threads: 1, batchTokens: 64, embeddings: options.embeds ?? false };
    await engine.load(new Blob(['GGUF']), load, new AbortController().signal);
    let wire: Wire | null = null;
    let snapshot: TabSnapshot | null = null;
    const identity = identityFrom(await createStoredIdentity());
    options.onIdentity?.(identity.signer.publicKey);
    const tab = new LendingTab({
      identity,
      connect: (events) => {
        const named = options.named === undefined ? null : { identity: identity.signer.publicKey, ...options.named };
        wire = new Wire(() => this.pool, events, options.network, named, options.country ?? null);
        options.onWire?.(wire);
        return wire;
      },
      work: {
        model: options.model ?? 'test-model',
        variant: options.variant ?? 'q8_0',
        class: options.class ?? TEST_CLASS,
        engine,
        renderer: options.renderer ?? TEST_RENDERER,
        sentence: tinySentenceEmbedding(),
      },
      links: () => NO_LINKS,
      decodeSpeed: 100,
      direct: false,
      checkOnly: options.checkOnly ?? false,
      guard: options.guard ?? null,
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
    const task = await newTaskTail(this.keys, session);
    return {
      task,
      network: 'http://localhost',
      variants: [{ model: 'test-model', variant: 'q8_0', class: TEST_CLASS }],
      level: 'cross',
      wanted: 1,
      draw: await drawCommitment(await drawSecret(this.keys, task)),
      private: false,
      kind: 'chat',
      sampling: TEST_SAMPLING,
      client: this.client.publicKey,
      nonce: toBase64Url(randomBytes(16)),
      prefer: null,
      only: null,
      token: 'token',
      readablePromptBytes: 3,
      claim: { account: 'test', sla: 'standard', conversation: null, ...ANYWHERE, bindsCheckers: false },
      deadlineAt: null,
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
    return { task: this.taskOn(stream, prompt, want), want };
  }

  /** The client's side of a stream that the pool gave. Of a task that embeds, the prompt has a text a line. */
  taskOn(stream: ReadableStream<Uint8Array>, prompt: string, want: LeaseWant): SealedTask {
    return new SealedTask(
      stream,
      {
        kind: want.kind,
        messages: (want.kind === 'embed' ? prompt.split('\n') : [prompt]).map((content) => ({ role: 'user', content })),
        stop: [],
        sampling: want.sampling,
        private: want.private,
        signer: this.client,
        nonce: want.nonce,
        routerKey: this.keys.signer.publicKey,
        level: want.level,
        checks: want.wanted,
        problemsOf: async (receipt) =>
          (await verifyReceipt(receipt, { routerKey: this.keys.signer.publicKey })).problems,
      },
      {
        deliver: (envelope) => this.pool.deliver(want.task, envelope),
        handOn: (wrap) => this.pool.handOn(want.task, wrap),
        // A plain task is read by the router's own Worker, which says why it leaves.
        ...(!want.private && { leave: async (why) => this.pool.leave(want.task, why) }),
        reattach: async ({ statement }, from) => {
          const again = this.pipe();
          const streamAgain = await this.pool.reattach(want.task, statement, from, again.sink);
          again.sink.onCancel = () => streamAgain.gone();
          return again.stream;
        },
      },
    );
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
      session = new Session(new MemorySessionStore(RECEIPT_KEPT_MS), this.keys, this.now, () => TEST_HOLD);
      this.sessions.set(name, session);
    }
    return session;
  }

  /** The stream of a task, as its reader and its pool hold it. */
  pipe(): { readonly stream: ReadableStream<Uint8Array>; readonly sink: LocalSink } {
    const made = localStream();
    this.#sinks.add(made.sink);
    return made;
  }

  #newPool(): Pool {
    return new Pool({
      signer: this.keys.signer,
      sessions: this.#sessionPort(),
      now: this.now,
      records: new RecordBook(this.records, this.now),
      place: this.place,
      readings: this.readings,
      networkTasks: this.networkTasks,
      isGuard: (pass) => isGuardPass(this.keys, pass),
      ownerOf: async (tab) => this.owners.get(tab) ?? null,
      busy: () => undefined,
      random: Math.random,
      log: (event, fields) => this.events.push({ event, fields }),
    });
  }

  #ownTasks(random: () => number): NetworkTaskPorts {
    return {
      signer: this.keys.signer,
      random,
      origin: () => 'http://localhost',
      newTask: async () => {
        const task = await newTaskTail(this.keys, await sessionNameOf(this.keys, 'network'));
        return { task, draw: await drawCommitment(await drawSecret(this.keys, task)) };
      },
      modelOf: async () => ({
        model: this.ownModel,
        variant: 'q8_0',
        kind: this.ownKind,
        complete: (asked) => ({ ...TEST_SAMPLING, ...asked }),
        quote: () => ({ ...TEST_HOLD, amount: TEST_HOLD.amount / 2 }), // Told apart by tests.
      }),
      known: this.known,
      ownPrompts: [],
    };
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
      failed: async (tail, ...rest) => (await this.session(tail)).failed(tail, ...rest),
      standing: async (tail) => (await this.session(tail)).standing(tail),
    };
  }
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
