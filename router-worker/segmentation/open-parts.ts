import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { drawCommitment } from '../../shared/checking/draw.ts';
import type { ServedVariant } from '../../shared/classes/catalogue.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';
import type { Level } from '../../shared/protocol/level.ts';
import type { ChatMessage } from '../../shared/protocol/sealed-body.ts';
import type { TaskKind } from '../../shared/protocol/task-kind.ts';
import { promptBytes } from '../../shared/sealed-task/sealed-task.ts';
import type { Holding } from '../billing/holding.ts';
import type { Env } from '../env.ts';
import { drawSecret, newTaskTail, type RouterKeys } from '../keys/router-keys.ts';
import { poolStub } from '../pool/pool-address.ts';
import type { Claim, LeaseWant } from '../pool/pool-ports.ts';
import type { Suspicion } from '../pool/tab-records.ts';
import { lookAtAnswer } from '../task/look-at-answer.ts';
import { plainTask } from '../task/plain-task.ts';
import { onlyVectors } from './only-vectors.ts';
import { MOST_SPARE_PARTS } from './part-schedule.ts';
import type { AttemptWant, PartsPort } from './parts-run.ts';

/** What one part asks a tab: sealed to that tab alone. */
export interface PartPrompt {
  /** Left out: a chat. */
  readonly kind?: TaskKind;
  readonly messages: readonly ChatMessage[];
  readonly stop: readonly string[];
  /** Every value pinned: whoever goes on with the part, or runs it twice, writes the same. */
  readonly sampling: Sampling;
}

/** What the parts of one request have in common. */
export interface PartTerms {
  readonly env: Env;
  readonly keys: RouterKeys;
  /** Name of the session that keeps their tasks. */
  readonly session: string;
  /** The router's origin. */
  readonly network: string;
  readonly variants: readonly ServedVariant[];
  readonly level: Level;
  readonly checks: 1 | 2 | 3;
  /** Who asks, and how urgently. */
  readonly claim: Claim;
  /** Sets aside what a task can cost: nothing is delivered to its tab before. */
  readonly hold: (task: TaskTail, prompt: PartPrompt) => Promise<Holding>;
  /** Told of every task that is opened, in order. */
  readonly onTask: (task: TaskTail) => void;
  readonly suspect: (tab: string, classId: string, reason: Suspicion) => void;
}

/** Parts as tasks of the pool: one call leases as many as it has tabs for, and each prompt is sealed to the tab of its own lease. */
export function partsOfPool(terms: PartTerms): PartsPort<PartPrompt> {
  return {
    now: () => performance.now(),
    async open(asked) {
      const wants = await Promise.all(asked.map((want) => leaseWantOf(terms, want)));
      const streams = await poolStub(terms.env).requestMany(wants, MOST_SPARE_PARTS);
      return streams.flatMap((stream, at) => {
        const [want, part] = [wants[at], asked[at]];
        if (want === undefined || part === undefined) return [];
        terms.onTask(want.task);
        const holding = terms.hold(want.task, part.prompt);
        const held = holding.then((one) => one.held);
        held.catch(() => undefined); // Whoever delivers hears of it.
        const task = plainTask(terms.env, terms.keys, part.prompt, want, stream, held);
        // What was never begun is not to hold money; what was refused holds none.
        void task.finished.then(() =>
          task.held === null ? holding.then(({ release }) => release()).catch(() => undefined) : undefined,
        );
        const { kind, messages } = part.prompt;
        if (kind === 'embed') {
          const dimensions = terms.variants[0]?.model.embed?.dimensions ?? 0;
          return [{ task, updates: onlyVectors(task.updates(), messages.length, dimensions) }];
        }
        const prompt = messages.map(({ content }) => content).join('\n');
        return [{ task, updates: lookAtAnswer(task.updates(), prompt, terms.suspect) }];
      });
    },
  };
}

async function leaseWantOf(
  terms: PartTerms,
  { prompt, avoid, class: only }: AttemptWant<PartPrompt>,
): Promise<LeaseWant> {
  const task = await newTaskTail(terms.keys, terms.session);
  const variants = terms.variants.map(({ model, variant, class: id }) => ({
    model: model.id,
    variant: variant.id,
    class: id,
  }));
  return {
    task,
    network: terms.network,
    variants: only === null ? variants : variants.filter((variant) => variant.class === only),
    level: terms.level,
    wanted: terms.checks,
    draw: await drawCommitment(await drawSecret(terms.keys, task)),
    private: false,
    kind: prompt.kind ?? 'chat',
    sampling: prompt.sampling,
    client: terms.keys.signer.publicKey,
    nonce: toBase64Url(randomBytes(16)),
    prefer: null,
    only: null,
    claim: { ...terms.claim, block: [...terms.claim.block, ...avoid] },
    token: '', // For clients that seal for themselves; here the router is the client.
    readablePromptBytes: promptBytes(prompt.messages),
    deadlineAt: null,
  };
}
