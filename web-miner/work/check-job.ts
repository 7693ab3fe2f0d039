import { type Bytes, fromBase64Url, randomBytes, toBase64Url, utf8 } from '../../shared/bytes.ts';
import { type AnswerChain, chainOf } from '../../shared/checking/digest-chain.ts';
import { SHOWN_DEADLINE_MS } from '../../shared/limits.ts';
import {
  answerCommit,
  type CheckCommit,
  chainLeaf,
  commitmentOf,
  embeddingLeaf,
  vectorToText,
  type WrittenReveal,
} from '../../shared/receipt/statements.ts';
import { leaseDigest, type OpenedEnvelope } from '../../shared/sealing/envelope.ts';
import { FrameSealer } from '../../shared/sealing/frames.ts';
import { generateSealingKeys } from '../../shared/sealing/hpke.ts';
import { parsePayload, type Signed, type Signer } from '../../shared/signing/signed-statement.ts';
import { type Check, REVEAL_ASKED_MS, type Revealed, within } from './check.ts';
import { openShown } from './shown-answer.ts';
import type { WorkModel } from './work-model.ts';
import { type WritingEvents, writeAgain } from './write-again.ts';

export interface CheckPorts extends WritingEvents {
  readonly signer: Signer;
  committed(commit: Signed): void;
}

/**
 * Writes the answer again, commits to it before seeing the first one, is shown that, and opens the commitment. What the first tab wrote cannot
 * reach what this one commits to.
 */
export class CheckJob implements Check {
  readonly #opened: OpenedEnvelope;
  readonly #work: WorkModel;
  readonly #ports: CheckPorts;
  readonly #commitOfFirst = Promise.withResolvers<{ readonly commit: Signed; readonly willBeShown: boolean }>();
  readonly #shown = Promise.withResolvers<Bytes>();

  constructor(opened: OpenedEnvelope, work: WorkModel, ports: CheckPorts) {
    this.#opened = opened;
    this.#work = work;
    this.#ports = ports;
  }

  /** The router asks to reveal, and says what the first tab committed to. */
  askedToReveal(commit: Signed, willBeShown: boolean): void {
    this.#commitOfFirst.resolve({ commit, willBeShown });
  }

  /** The first answer, still sealed. */
  receivedAnswer(sealed: Bytes): void {
    this.#shown.resolve(sealed);
  }

  /** Throws `EngineError`, or `AbortError` when stopped. */
  async run(signal: AbortSignal): Promise<Revealed> {
    const { lease, statement, body } = this.#opened;
    const salt = fromBase64Url(body.salt);
    const { kind, sampling } = lease;
    const question = { kind, messages: body.messages, stop: body.stop, sampling };
    const own = await writeAgain(this.#work, question, this.#ports, signal);
    const chain = await chainOf(salt, own.text, own.finish);
    const vector = this.#meaningOf(own.text);
    const digest = await leaseDigest(statement);
    const scope = { task: lease.task, lease: digest, checker: lease.tab };
    const chainNonce = toBase64Url(randomBytes(16));
    const embeddingNonce = toBase64Url(randomBytes(16));
    const vectorText = vectorToText(vector);
    const isOpen = !lease.private && kind === 'chat';
    const leaf = await embeddingLeaf(scope, embeddingNonce, fromBase64Url(vectorText));
    const evidenceKeys = await generateSealingKeys();
    const commit: CheckCommit = {
      v: 1,
      task: lease.task,
      lease: digest,
      class: lease.class,
      commitment: await commitmentOf(await chainLeaf(scope, chainNonce, chain), leaf),
      evidenceKey: evidenceKeys.publicKey,
    };
    this.#ports.committed(await this.#ports.signer.sign('check-commit', JSON.stringify(commit)));

    const first = await this.#firstAnswer(evidenceKeys.pair, salt, signal);
    const shownVector = first === null ? null : vectorToText(this.#meaningOf(first.text));
    const reveal: WrittenReveal = {
      v: 2,
      form: 'written',
      task: lease.task,
      lease: digest,
      chain,
      chainNonce,
      tokens: own.tokens,
      embeddingLeaf: leaf,
      embedding: isOpen ? { vector: vectorText, nonce: embeddingNonce } : null,
      shown: first === null ? null : { authentic: first.authentic, vector: isOpen ? shownVector : null },
    };
    return {
      reveal: await this.#ports.signer.sign('check-reveal', JSON.stringify(reveal)),
      evidence: lease.private
        ? await this.#sealEvidence(vectorText, first?.authentic === true ? shownVector : null)
        : null,
    };
  }

  /** Vectors have none: there is nothing in their text for the table of words. */
  #meaningOf(answer: string): Float32Array {
    return this.#opened.lease.kind === 'embed' ? new Float32Array(0) : this.#work.sentence.embed(answer);
  }

  /** The first answer, once it is shown; null when it is not, in time. */
  async #firstAnswer(
    keys: CryptoKeyPair,
    salt: Bytes,
    signal: AbortSignal,
  ): Promise<{ readonly text: string; readonly authentic: boolean } | null> {
    const { lease } = this.#opened;
    const asked = await within(REVEAL_ASKED_MS, this.#commitOfFirst.promise, signal);
    if (asked === null || !asked.willBeShown) return null;
    const sealed = await within(SHOWN_DEADLINE_MS, this.#shown.promise, signal);
    if (sealed === null) return null;
    try {
      const { text } = await openShown(keys, { task: lease.task, check: lease.number, chunk: null }, sealed);
      const claimed = parsePayload('commit', answerCommit, asked.commit);
      const chain: AnswerChain = await chainOf(salt, text, claimed.finish);
      return { text, authentic: chain.head === claimed.chain.head };
    } catch {
      return { text: '', authentic: false };
    }
  }

  async #sealEvidence(own: string, shown: string | null): Promise<string> {
    const sealer = new FrameSealer(this.#opened.exporter, 'evidence', { pad: true });
    const payload = utf8(JSON.stringify({ own, shown }));
    const frame = await sealer.seal({ kind: 'end', tokens: 0, blocks: 0, chain: new Uint8Array(16), payload }, true);
    return toBase64Url(frame);
  }
}
