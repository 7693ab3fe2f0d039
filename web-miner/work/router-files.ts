import * as v from 'valibot';
import { toBytes } from '../../shared/bytes.ts';
import { readSentenceEmbedding, type SentenceEmbedding } from '../../shared/checking/sentence-embedding.ts';
import {
  type Arithmetic,
  CATALOGUE_PATH,
  catalogue,
  everyClass,
  SENTENCE_EMBEDDING_PATH,
  type ServedVariant,
} from '../../shared/classes/catalogue.ts';
import { SELF_TESTS_PATH, type SelfTests, selfTests } from '../../shared/classes/self-tests.ts';
import { ModelDownloadError } from '../models/model-store.ts';

const FETCH_DEADLINE_MS = 20_000;

/** The small files that a tab needs of its router. All throw {@link ModelDownloadError}, or what the signal was aborted with. */
export class RouterFiles {
  readonly #origin: string;
  readonly #signal: AbortSignal;

  constructor(origin: string, signal: AbortSignal) {
    this.#origin = origin;
    this.#signal = signal;
  }

  async models(arithmetic: Arithmetic): Promise<ServedVariant[]> {
    const parsed = v.safeParse(catalogue, await (await this.#fetch(CATALOGUE_PATH)).json());
    if (!parsed.success) throw new ModelDownloadError('The catalogue of models is not readable.');
    return everyClass(parsed.output, [arithmetic]);
  }

  async sentences(): Promise<SentenceEmbedding> {
    const response = await this.#fetch(SENTENCE_EMBEDDING_PATH);
    return readSentenceEmbedding(toBytes(await response.arrayBuffer()));
  }

  /** None where the router has none: a device is then asked the same thing twice. */
  async selfTests(): Promise<SelfTests['classes']> {
    try {
      const parsed = v.safeParse(selfTests, await (await this.#fetch(SELF_TESTS_PATH)).json());
      return parsed.success ? parsed.output.classes : {};
    } catch {
      this.#signal.throwIfAborted();
      return {};
    }
  }

  async #fetch(path: string): Promise<Response> {
    const deadline = AbortSignal.timeout(FETCH_DEADLINE_MS);
    const response = await fetch(new URL(path, this.#origin), { signal: AbortSignal.any([this.#signal, deadline]) });
    if (!response.ok) throw new ModelDownloadError(`The router answered ${response.status} for ${path}.`);
    return response;
  }
}
