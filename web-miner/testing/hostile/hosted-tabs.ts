import { toBytes } from '../../../shared/bytes.ts';
import { readSentenceEmbedding, type SentenceEmbedding } from '../../../shared/checking/sentence-embedding.ts';
import { chatFormOf, SENTENCE_EMBEDDING_PATH, type ServedVariant } from '../../../shared/classes/catalogue.ts';
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
import { batchTokensFor } from '../../work/load-model.ts';
import { Accomplices } from './accomplices.ts';
import type { LoadedWork, Means } from './lie.ts';
import { LIES, type LieName } from './lies.ts';
import { TamperingConnection } from './tampering-connection.ts';
import { remembering, textOf } from './written-answer.ts';

export interface HostedModels {
  /** The one whose class the tabs of this page claim. */
  readonly claimed: ServedVariant;
  /** The same file in the arithmetic of a near class; null when no tab of this page is in one. */
  readonly near: ServedVariant | null;
  readonly coarser: ServedVariant | null;
  readonly other: ServedVariant | null;
}

export interface HostedTab {
  /** Null: honest. */
  readonly lie: LieName | null;
  readonly checkOnly: boolean;
  /** Whether it is in the near class. */
  readonly isNear: boolean;
  /** The operator's pass; null for everybody else. */
  readonly guard: string | null;
}

interface Hosted {
  readonly served: ServedVariant;
  readonly work: LoadedWork;
}

/** Tabs of one page: an identity and a socket each, around one real engine for each model. The engine takes one request after the other. */
export class HostedTabs {
  readonly #wasm: string;
  readonly #tabs = new Map<string, LendingTab>();
  #loaded: {
    readonly exact: Hosted;
    readonly near: Hosted | null;
    readonly others: Pick<Means, 'coarser' | 'other' | 'accomplices'>;
    readonly sentence: SentenceEmbedding;
  } | null = null;

  constructor(wasm: string) {
    this.#wasm = wasm;
  }

  async load({ claimed, near, coarser, other }: HostedModels): Promise<void> {
    const sentence = readSentenceEmbedding(toBytes(await (await fetch(SENTENCE_EMBEDDING_PATH)).arrayBuffer()));
    const exact = { served: claimed, work: await this.#work(claimed) };
    const others = {
      coarser: coarser === null ? null : await this.#work(coarser),
      other: other === null ? null : await this.#work(other),
      accomplices: new Accomplices(),
    };
    const beside = near === null ? null : { served: near, work: await this.#work(near) };
    this.#loaded = { exact, near: beside, others, sentence };
  }

  /** A tab that tells this lie, or none. Resolves to its identity when the router has welcomed it. */
  async join(options: HostedTab): Promise<string> {
    const { served, work } = this.#hosted(options.isNear);
    const { others, sentence } = this.#ready();
    const means: Means = { ...others, claimed: work };
    const lie = options.lie === null ? {} : LIES[options.lie];
    const identity = identityFrom(await createStoredIdentity());
    const { engine, renderer } = 'work' in lie ? lie.work(means) : work;
    const tamper = 'wire' in lie ? lie.wire(means, identity.signer) : {};
    const welcomed = Promise.withResolvers<void>();
    const tab = new LendingTab({
      connect: (events, query) => new TamperingConnection((inner) => connect(inner, query), events, tamper),
      identity,
      work: {
        model: served.model.id,
        variant: served.variant.id,
        class: served.class,
        engine,
        renderer,
        sentence,
      },
      links: () => NO_LINKS,
      decodeSpeed: null,
      direct: false,
      checkOnly: options.checkOnly,
      guard: options.guard,
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

  /** What the claimed model really answers, in the class that is meant. */
  async truth(
    question: string,
    sampling: Sampling,
    isNear: boolean,
  ): Promise<{ readonly text: string; readonly finish: string; readonly tokens: number }> {
    const { work } = this.#hosted(isNear);
    const prompt = work.renderer.render([{ role: 'user', content: question }]);
    const answer = await work.write({ prompt, sampling, stop: [] }, new AbortController().signal);
    return { text: textOf(answer), finish: answer.finish, tokens: answer.completionTokens };
  }

  #ready() {
    if (this.#loaded === null) throw new Error('no model is loaded');
    return this.#loaded;
  }

  #hosted(isNear: boolean): Hosted {
    const { exact, near } = this.#ready();
    if (!isNear) return exact;
    if (near === null) throw new Error('the page has not loaded the near class');
    return near;
  }

  async #work({ model, variant, arithmetic }: ServedVariant): Promise<LoadedWork> {
    const { signal } = new AbortController();
    const weights = await fetchWeights(location.origin, variant, () => undefined, signal);
    const engine = new WllamaEngine(this.#wasm, arithmetic);
    const batchTokens = batchTokensFor(variant.weights.bytes);
    await engine.load(
      weights,
      { contextTokens: model.contextTokens, threads: 1, batchTokens, embeddings: false },
      signal,
    );
    return { engine, renderer: promptRenderer(chatFormOf(model)), write: remembering(engine) };
  }
}

function connect(events: ConnectionEvents, query: () => string): Connection {
  return new ReconnectingSocket({
    ...events,
    url: () => new URL(`/v1/tabs/socket${query()}`, location.origin).href.replace(/^http/, 'ws'),
    finalCodes: [CLOSE.protocol, CLOSE.replaced, CLOSE.version],
    movedCodes: [CLOSE.moved],
  });
}
