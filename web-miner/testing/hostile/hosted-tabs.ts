import { toBytes } from '../../../shared/bytes.ts';
import { readSentenceEmbedding, type SentenceEmbedding } from '../../../shared/checking/sentence-embedding.ts';
import { SENTENCE_EMBEDDING_PATH, type ServedVariant } from '../../../shared/classes/catalogue.ts';
import type { Connection, ConnectionEvents } from '../../../shared/peer/connection.ts';
import { NO_LINKS } from '../../../shared/peer/direct-links.ts';
import { ReconnectingSocket } from '../../../shared/peer/reconnecting-socket.ts';
import type { Sampling } from '../../../shared/protocol/lease.ts';
import { CLOSE } from '../../../shared/protocol/tab-socket.ts';
import { promptRenderer } from '../../engine/render-prompt.ts';
import { WllamaEngine } from '../../engine/wllama-engine.ts';
import { createStoredIdentity, identityFrom } from '../../identity/tab-identity.ts';
import { fetchWeights } from '../../models/model-store.ts';
import { LendingTab } from '../../work/lending-tab.ts';
import { batchTokensFor } from '../../work/start-lending.ts';
import { Accomplices } from './accomplices.ts';
import type { LoadedWork, Means } from './lie.ts';
import { LIES, type LieName } from './lies.ts';
import { TamperingConnection } from './tampering-connection.ts';
import { remembering, textOf } from './written-answer.ts';

export interface HostedModels {
  /** The one whose class the tabs of this page claim. */
  readonly claimed: ServedVariant;
  readonly coarser: ServedVariant | null;
  readonly other: ServedVariant | null;
}

/** Tabs of one page: an identity and a socket each, around one real engine for each model. The engine takes one request after the other. */
export class HostedTabs {
  readonly #wasm: string;
  readonly #tabs = new Map<string, LendingTab>();
  #loaded: {
    readonly means: Means;
    readonly claimed: ServedVariant;
    readonly sentence: SentenceEmbedding;
  } | null = null;

  constructor(wasm: string) {
    this.#wasm = wasm;
  }

  async load({ claimed, coarser, other }: HostedModels): Promise<void> {
    const sentence = readSentenceEmbedding(toBytes(await (await fetch(SENTENCE_EMBEDDING_PATH)).arrayBuffer()));
    const means: Means = {
      claimed: await this.#work(claimed),
      coarser: coarser === null ? null : await this.#work(coarser),
      other: other === null ? null : await this.#work(other),
      accomplices: new Accomplices(),
    };
    this.#loaded = { means, claimed, sentence };
  }

  /** A tab that tells this lie, or none. Resolves to its identity when the router has welcomed it. */
  async join(options: { readonly lie: LieName | null; readonly checkOnly: boolean }): Promise<string> {
    const { means, claimed, sentence } = this.#ready();
    const lie = options.lie === null ? {} : LIES[options.lie];
    const identity = identityFrom(await createStoredIdentity());
    const { engine, renderer } = 'work' in lie ? lie.work(means) : means.claimed;
    const tamper = 'wire' in lie ? lie.wire(means, identity.signer) : {};
    const welcomed = Promise.withResolvers<void>();
    const tab = new LendingTab({
      connect: (events) => new TamperingConnection(connect, events, tamper),
      identity,
      work: {
        model: claimed.model.id,
        variant: claimed.variant.id,
        class: claimed.class,
        engine,
        renderer,
        sentence,
      },
      links: () => NO_LINKS,
      decodeSpeed: null,
      direct: false,
      checkOnly: options.checkOnly,
      onChange: (snapshot) => {
        if (snapshot.tab !== null) welcomed.resolve();
        if (snapshot.connection.state === 'closed') welcomed.reject(new Error('the router closed the socket'));
      },
    });
    await welcomed.promise;
    this.#tabs.set(identity.signer.publicKey, tab);
    return identity.signer.publicKey;
  }

  async leave(identity: string): Promise<void> {
    await this.#tabs.get(identity)?.close();
    this.#tabs.delete(identity);
  }

  /** What the claimed model really answers. */
  async truth(
    question: string,
    sampling: Sampling,
  ): Promise<{ readonly text: string; readonly finish: string; readonly tokens: number }> {
    const { claimed } = this.#ready().means;
    const prompt = claimed.renderer.render([{ role: 'user', content: question }]);
    const answer = await claimed.write({ prompt, sampling, stop: [] }, new AbortController().signal);
    return { text: textOf(answer), finish: answer.finish, tokens: answer.completionTokens };
  }

  #ready() {
    if (this.#loaded === null) throw new Error('no model is loaded');
    return this.#loaded;
  }

  async #work({ model, variant }: ServedVariant): Promise<LoadedWork> {
    const { signal } = new AbortController();
    const weights = await fetchWeights(location.origin, variant, () => undefined, signal);
    const engine = new WllamaEngine(this.#wasm);
    const batchTokens = batchTokensFor(variant.weights.bytes);
    await engine.load(
      weights,
      { contextTokens: model.contextTokens, threads: 1, batchTokens, embeddings: false },
      signal,
    );
    return { engine, renderer: promptRenderer(model.chat), write: remembering(engine) };
  }
}

function connect(events: ConnectionEvents): Connection {
  const url = new URL('/v1/tabs/socket', location.origin).href.replace(/^http/, 'ws');
  return new ReconnectingSocket({ ...events, url, finalCodes: [CLOSE.protocol, CLOSE.replaced, CLOSE.version] });
}
