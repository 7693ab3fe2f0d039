import { type Bytes, fromBase64Url, randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { chainOf } from '../../shared/checking/digest-chain.ts';
import { chunkCuts, guessLeaf, type NextTokenGuess } from '../../shared/checking/next-token-commits.ts';
import { GUESS_CANDIDATES, MAX_GUESS_LENGTH, MAX_GUESSES, SHOWN_DEADLINE_MS } from '../../shared/limits.ts';
import {
  answerCommit,
  type CheckCommit,
  type CommitmentScope,
  type ReadReveal,
} from '../../shared/receipt/statements.ts';
import { leaseDigest, type OpenedEnvelope } from '../../shared/sealing/envelope.ts';
import { generateSealingKeys } from '../../shared/sealing/hpke.ts';
import { parsePayload, type Signed, type Signer } from '../../shared/signing/signed-statement.ts';
import { type Check, REVEAL_ASKED_MS, type Revealed, within } from './check.ts';
import { orUnreadable, readAnswer } from './read-answer.ts';
import { openShown, type Shown, type ShownScope } from './shown-answer.ts';
import type { WorkModel } from './work-model.ts';

export interface ReadPorts {
  readonly signer: Signer;
  /** The prompt was opened, and is being read. */
  accepted(): void;
  committed(commit: Signed): void;
  /** How chunk `index` begins was guessed: it may be shown. */
  guessed(index: number, leaf: string): void;
}

interface ShownSoFar {
  readonly text: string;
  readonly leaves: readonly string[];
  readonly guesses: readonly NextTokenGuess[];
  /** Whether it was shown to its end. */
  readonly isWhole: boolean;
}

/**
 * Reads an answer that was written with the same weights in another arithmetic: guesses how each chunk begins before it is shown that, then decodes the
 * whole under force and says how well it fits. A tab that does not run the model has nothing to guess with.
 */
export class ReadJob implements Check {
  readonly #opened: OpenedEnvelope;
  readonly #work: WorkModel;
  readonly #ports: ReadPorts;
  readonly #asked = Promise.withResolvers<{ readonly commit: Signed; readonly willBeShown: boolean }>();
  /** What came and was not opened yet. */
  readonly #arrived: Bytes[] = [];
  #more = Promise.withResolvers<void>();

  constructor(opened: OpenedEnvelope, work: WorkModel, ports: ReadPorts) {
    this.#opened = opened;
    this.#work = work;
    this.#ports = ports;
  }

  askedToReveal(commit: Signed, willBeShown: boolean): void {
    this.#asked.resolve({ commit, willBeShown });
  }

  receivedAnswer(sealed: Bytes): void {
    if (this.#arrived.length < MAX_ARRIVED) this.#arrived.push(sealed);
    this.#more.resolve();
  }

  async run(signal: AbortSignal): Promise<Revealed> {
    const { lease, statement, body } = this.#opened;
    this.#ports.accepted();
    const prompt = this.#work.renderer.render(body.messages);
    const scope = { task: lease.task, lease: await leaseDigest(statement), checker: lease.tab };
    const first = await this.#guess(scope, 0, prompt, signal);
    const keys = await generateSealingKeys();
    const commit: CheckCommit = {
      v: 1,
      task: lease.task,
      lease: scope.lease,
      class: lease.class,
      commitment: first.leaf,
      evidenceKey: keys.publicKey,
    };
    this.#ports.committed(await this.#ports.signer.sign('check-commit', JSON.stringify(commit)));
    const asked = await within(REVEAL_ASKED_MS, this.#asked.promise, signal);
    const start = { text: '', leaves: [first.leaf], guesses: [first.guess], isWhole: false };
    const shown = asked?.willBeShown === true ? await this.#readAlong(scope, prompt, keys.pair, start, signal) : start;
    const { authentic, figures } = await this.#judge(asked?.commit ?? null, shown, signal);
    const reveal: ReadReveal = {
      v: 2,
      form: 'read',
      task: lease.task,
      lease: scope.lease,
      leaves: [...shown.leaves],
      guesses: lease.private ? null : [...shown.guesses],
      authentic,
      figures,
    };
    return { reveal: await this.#ports.signer.sign('check-reveal', JSON.stringify(reveal)), evidence: null };
  }

  async #guess(
    scope: CommitmentScope,
    index: number,
    text: string,
    signal: AbortSignal,
  ): Promise<{ readonly guess: NextTokenGuess; readonly leaf: string }> {
    const { candidates } = await this.#work.engine
      .probe({ text, choices: [] }, signal)
      .catch(orUnreadable({ candidates: [] }));
    const likeliest = candidates
      .slice(0, GUESS_CANDIDATES)
      .map((candidate) => candidate.text)
      .filter((word) => word.length <= MAX_GUESS_LENGTH);
    const guess = { index, candidates: likeliest, nonce: toBase64Url(randomBytes(16)) };
    return { guess, leaf: await guessLeaf(scope, guess) };
  }

  /** Chunk after chunk, each behind a guess, to the end or as far as it is shown in time. */
  async #readAlong(
    scope: CommitmentScope,
    prompt: string,
    keys: CryptoKeyPair,
    start: ShownSoFar,
    signal: AbortSignal,
  ): Promise<ShownSoFar> {
    const { task, number } = this.#opened.lease;
    let shown = start;
    for (let chunk = 0; chunk < MAX_GUESSES; chunk++) {
      const opened = await this.#chunk(keys, { task, check: number, chunk }, signal);
      if (opened === null) return shown;
      shown = { ...shown, text: shown.text + opened.text, isWhole: opened.isLast };
      if (opened.isLast || chunk === MAX_GUESSES - 1) return shown;
      const { guess, leaf } = await this.#guess(scope, chunk + 1, prompt + shown.text, signal);
      shown = { ...shown, guesses: [...shown.guesses, guess], leaves: [...shown.leaves, leaf] };
      this.#ports.guessed(chunk + 1, leaf);
    }
    return shown;
  }

  /** The chunk that is due; null when it does not come in time. One that came before, or fits nothing, is passed over: a socket that came back repeats itself. */
  async #chunk(keys: CryptoKeyPair, scope: ShownScope, signal: AbortSignal): Promise<Shown | null> {
    const until = performance.now() + SHOWN_DEADLINE_MS;
    for (;;) {
      const sealed = this.#arrived.shift();
      const shown = sealed === undefined ? null : await openShown(keys, scope, sealed).catch(() => null);
      if (shown !== null) return shown;
      if (this.#arrived.length > 0) continue;
      this.#more = Promise.withResolvers<void>();
      const came = within(
        until - performance.now(),
        this.#more.promise.then(() => true),
        signal,
      );
      if ((await came) === null) return null;
    }
  }

  async #judge(
    statement: Signed | null,
    { text, leaves, isWhole }: ShownSoFar,
    signal: AbortSignal,
  ): Promise<Pick<ReadReveal, 'authentic' | 'figures'>> {
    if (statement === null || !isWhole) return { authentic: null, figures: null };
    const { lease, body } = this.#opened;
    const claimed = parsePayload('commit', answerCommit, statement);
    const { head } = await chainOf(fromBase64Url(body.salt), text, claimed.finish);
    if (head !== claimed.chain.head) return { authentic: false, figures: null };
    // What was shown otherwise than in its chunks was not guessed: a yes to it would be worth nothing, and look like a lie.
    if (leaves.length !== Math.max(1, chunkCuts(text).length)) return { authentic: null, figures: null };
    const question = { messages: body.messages, stop: body.stop, sampling: lease.sampling };
    const { finish } = claimed;
    return { authentic: true, figures: await readAnswer(this.#work, question, { text, finish }, signal) };
  }
}

/** Chunks that may wait to be opened: more than are ever on their way. */
const MAX_ARRIVED = 2 * MAX_GUESSES;
