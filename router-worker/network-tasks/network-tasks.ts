import { randomBytes, toBase64Url, utf8 } from '../../shared/bytes.ts';
import type { FinishReason } from '../../shared/checking/digest-chain.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import { NOT_SAMPLED, type Sampling } from '../../shared/protocol/lease.ts';
import type { Level } from '../../shared/protocol/level.ts';
import { ANYWHERE } from '../../shared/protocol/placement.ts';
import type { TaskKind } from '../../shared/protocol/task-kind.ts';
import { type Receipt, receipt as receiptSchema } from '../../shared/receipt/receipt.ts';
import { SealedTask, type TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';
import { parsePayload, type Signer } from '../../shared/signing/signed-statement.ts';
import type { PricedHold } from '../billing/bill.ts';
import { type Reading, readingsOf } from '../calibration/readings-of.ts';
import { type LocalSink, localStream } from '../pool/local-stream.ts';
import type { Pool } from '../pool/pool.ts';
import type { LeaseWant } from '../pool/pool-ports.ts';
import { type BlindChecker, blindCheckers } from '../task/blind-checkers.ts';
import type { Mark } from '../task/marks.ts';
import { judgeByKnownAnswer } from './judge-network-task.ts';
import type { KnownAnswer, KnownAnswers } from './known-answers.ts';
import { newQuestion, newTexts, textsOf } from './questions.ts';

/** What the tasks of the network need of the router around them. */
export interface NetworkTaskPorts {
  readonly signer: Signer;
  readonly random: () => number;
  /** Of the router, as its tabs know it. */
  readonly origin: () => string;
  /** A new task's name, and the commitment of its draw. */
  readonly newTask: () => Promise<{ readonly task: TaskTail; readonly draw: string }>;
  /** The model behind a class, and its sampling with what is asked filled in; null when this router does not offer it. */
  readonly modelOf: (classId: string) => Promise<{
    readonly model: string;
    readonly variant: string;
    readonly kind: TaskKind;
    readonly complete: (asked: Partial<Sampling>) => Sampling;
    /** What such a question would cost anybody, at most, and by what. */
    readonly quote: (promptBytes: number, maxTokens: number, level: Level) => PricedHold;
  } | null>;
  readonly known: KnownAnswers;
  /** The operator's own prompts; empty: the built-in ones. */
  readonly ownPrompts: readonly string[];
}

export interface NetworkTaskResult {
  /** By a known answer; null when none was known, and the round's own marks count. */
  readonly marks: readonly Mark[] | null;
  /** What was answered, when the round found it valid and nothing was known. */
  readonly learnt: KnownAnswer | null;
  /** Checkers that passed an answer which they had not guessed. */
  readonly blind: readonly BlindChecker[];
  /** What its readers found: rows for the calibration. */
  readonly readings: readonly Reading[];
}

/** Longest a task of the network may take, ms: its tab is wanted by users. */
const TASK_DEADLINE_MS = 120_000;

/** Share of the tasks with a known answer that are checked all the same: it is the checkers who are checked then. */
export const CHECKED_SHARE = 0.5;

const NOTHING: NetworkTaskResult = { marks: null, learnt: null, blind: [], readings: [] };

/** Tasks that the network gives itself. A tab sees no difference: the same lease, sealed by the same router, and the same check. */
export class NetworkTasks {
  readonly #ports: NetworkTaskPorts;
  readonly #pool: Pick<Pool, 'request' | 'deliver' | 'handOn'>;

  constructor(ports: NetworkTaskPorts, pool: Pick<Pool, 'request' | 'deliver' | 'handOn'>) {
    this.#ports = ports;
    this.#pool = pool;
  }

  newTask(): ReturnType<NetworkTaskPorts['newTask']> {
    return this.#ports.newTask();
  }

  /** Asks one tab one question, and says what came of it. Never throws: what fails tells nothing. */
  async ask(
    named: { readonly task: TaskTail; readonly draw: string },
    target: { readonly tab: string; readonly class: string; readonly canCheck: boolean },
    signal: AbortSignal,
  ): Promise<NetworkTaskResult> {
    const { known: answers, random } = this.#ports;
    const served = await this.#ports.modelOf(target.class);
    if (served === null) return NOTHING;
    const known = answers.take(target.class, target.canCheck, random);
    const draw = served.kind === 'embed' ? newTexts : newQuestion;
    const question = known?.question ?? draw(random, this.#ports.ownPrompts);
    const isChecked = known === null || random() < CHECKED_SHARE;
    const level = isChecked ? 'cross' : 'none';
    const sampling = served.kind === 'embed' ? NOT_SAMPLED : served.complete({ topP: 1, ...question.sampling });
    const readablePromptBytes = utf8(question.prompt).byteLength;
    const want: LeaseWant = {
      ...named,
      network: this.#ports.origin(), // As in everybody's receipt.
      variants: [{ model: served.model, variant: served.variant, class: target.class }],
      level,
      wanted: 1,
      private: false,
      kind: served.kind,
      sampling,
      client: this.#ports.signer.publicKey,
      nonce: toBase64Url(randomBytes(16)),
      prefer: target.tab,
      only: target.tab,
      token: '',
      readablePromptBytes,
      claim: {
        account: 'network',
        sla: 'batch',
        conversation: null,
        ...ANYWHERE,
        bindsCheckers: false,
      },
      deadlineAt: null,
      own: served.quote(readablePromptBytes, sampling.maxTokens, level),
    };
    const written = await this.#run(want, question.prompt, signal);
    if (written === null) return NOTHING;
    const { text, finish, salt, receipt } = written;
    const blind = await blindCheckers(receipt, text);
    const readings = await readingsOf(receipt, text);
    if (known !== null) return { marks: await judgeByKnownAnswer(receipt, salt, known), learnt: null, blind, readings };
    const learnt = receipt.verdict.value === 'valid' ? { question, text, finish } : null;
    return { marks: null, learnt, blind, readings };
  }

  /** The answer and its receipt; null when it did not come to that. */
  async #run(want: LeaseWant, prompt: string, signal: AbortSignal) {
    const { stream, sink } = localStream();
    const opened = this.#pool.request(want, sink);
    sink.onCancel = () => opened.gone();
    const task = this.#seal(want, prompt, stream, sink);
    const stop = () => void task.stop();
    const stopped = AbortSignal.any([signal, AbortSignal.timeout(TASK_DEADLINE_MS)]);
    stopped.addEventListener('abort', stop, { once: true });
    if (stopped.aborted) stop();
    try {
      return await readAnswer(task);
    } catch {
      return null;
    } finally {
      stopped.removeEventListener('abort', stop);
    }
  }

  #seal(want: LeaseWant, prompt: string, stream: ReadableStream<Uint8Array>, sink: LocalSink): SealedTask {
    return new SealedTask(
      stream,
      {
        kind: want.kind,
        messages: (want.kind === 'embed' ? textsOf(prompt) : [prompt]).map((content) => ({ role: 'user', content })),
        stop: [],
        sampling: want.sampling,
        private: false,
        signer: this.#ports.signer,
        nonce: want.nonce,
        routerKey: null,
      },
      {
        deliver: (envelope) => this.#pool.deliver(want.task, envelope),
        handOn: (wrap) => this.#pool.handOn(want.task, wrap),
        reattach: () => {
          sink.break(); // Reader and pool are one object: what broke is gone.
          return Promise.reject(new Error('a task of the network is not taken up'));
        },
      },
    );
  }
}

interface Written {
  readonly text: string;
  readonly finish: FinishReason;
  readonly salt: string;
  readonly receipt: Receipt;
}

async function readAnswer(task: SealedTask): Promise<Written | null> {
  let text = '';
  let finish: FinishReason = 'stop';
  let ended: Extract<TaskUpdate, { type: 'ended' }> | null = null;
  for await (const update of task.updates()) {
    if (update.type === 'text') text += update.text;
    else if (update.type === 'answered') finish = update.finish;
    else if (update.type === 'ended') ended = update;
  }
  if (ended?.receipt == null) return null;
  return { text, finish, salt: task.salt, receipt: parsePayload('receipt', receiptSchema, ended.receipt) };
}
