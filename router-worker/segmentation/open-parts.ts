import type { ServedVariant } from '../../shared/classes/catalogue.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';
import type { Level } from '../../shared/protocol/level.ts';
import type { ChatMessage } from '../../shared/protocol/sealed-body.ts';
import type { TaskKind } from '../../shared/protocol/task-kind.ts';
import { promptBytes } from '../../shared/sealed-task/sealed-task.ts';
import type { PartWord } from '../billing/grant.ts';
import type { Holding } from '../billing/holding.ts';
import type { Env } from '../env.ts';
import { newTaskTail, type RouterKeys } from '../keys/router-keys.ts';
import { AllPools } from '../pool/all-pools.ts';
import { wantOfPlainTask } from '../pool/lease-want.ts';
import type { Place } from '../pool/place-request.ts';
import { poolStub } from '../pool/pool-address.ts';
import { learnPools } from '../pool/pool-count.ts';
import type { Claim, LeaseWant } from '../pool/pool-ports.ts';
import type { Suspicion } from '../pool/tab-records.ts';
import { type Keep, keepAnswer } from '../task/keep-answer.ts';
import { lookAtAnswer } from '../task/look-at-answer.ts';
import { plainTask } from '../task/plain-task.ts';
import { onlyVectors } from './only-vectors.ts';
import { MOST_SPARE_PARTS } from './part-schedule.ts';
import type { AttemptWant, OpenedAttempt, PartsPort } from './parts-run.ts';

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
  /** When a part that is asked for now must be written, epoch ms; null: no sooner than any other. */
  readonly deadlineAt: () => number | null;
  /** Takes a part's place in a session that was set up. Throws `session_busy` or `session_exhausted`, or what else refuses it. */
  readonly takePlace: (task: TaskTail, prompt: PartPrompt) => Promise<void>;
  /** Sets aside what a task can cost: nothing is delivered to its tab before. */
  readonly hold: (task: TaskTail, prompt: PartPrompt) => Promise<Holding>;
  /** Gives back what a task that was not begun holds: money, and its place. Never rejects. */
  readonly release: (task: TaskTail) => Promise<void>;
  /** What became of these parts: only what was given is charged. */
  readonly tell: (tasks: readonly TaskTail[], word: PartWord) => void;
  /** Told of every task that is opened, in order. */
  readonly onTask: (task: TaskTail) => void;
  /** Takes the text of each part to keep it; null where none is kept. Vectors never are. */
  readonly keep: Keep | null;
  /** `pool`: number of the one where the tab answered. */
  readonly suspect: (tab: string, classId: string, reason: Suspicion, pool: number) => void;
}

/** A session that has no room for one part more is asked again after so long, ms. */
const NO_PLACE_PAUSE_MS = 1_000;

/** Parts as tasks of the pool: one call leases as many as it has tabs for, and each prompt is sealed to the tab of its own lease. */
export function partsOfPool(terms: PartTerms): PartsPort<PartPrompt> {
  const now = () => performance.now();
  const words = new WordsOfParts(terms.tell);
  let fullUntil = Number.NEGATIVE_INFINITY;
  /** Takes places for the first of them, in order: as many as the session has room for. */
  const takePlaces = async (wanted: readonly Wanted[]) => {
    for (const [at, { want, prompt }] of wanted.entries()) {
      try {
        await terms.takePlace(want.task, prompt);
      } catch (cause) {
        // What runs makes room when it ends, and gives back most of what it holds.
        if (ShoalError.from(cause).code !== 'session_busy' && at === 0) throw cause;
        fullUntil = now() + NO_PLACE_PAUSE_MS;
        return at;
      }
    }
    return wanted.length;
  };
  /** Opens tasks for the first of these in one pool: as many as that takes, and as the session has room for. */
  const openIn = async (at: number, asked: readonly AttemptWant<PartPrompt>[], mostWaiting: number) => {
    const pool = poolStub(terms.env, at);
    const all = await Promise.all(
      asked.map(async (part): Promise<Wanted> => ({ want: await leaseWantOf(terms, part, at), prompt: part.prompt })),
    );
    const wanted = all.slice(0, await takePlaces(all));
    if (wanted.length === 0) return [];
    const releaseFrom = (first: number) => Promise.all(wanted.slice(first).map(({ want }) => terms.release(want.task)));
    const { streams, pools } = await pool
      .requestMany(
        wanted.map(({ want }) => want),
        mostWaiting,
      )
      .catch(async (cause) => {
        await releaseFrom(0);
        throw cause;
      });
    learnPools(pools);
    await releaseFrom(streams.length);
    const suspect = (tab: string, classId: string, reason: Suspicion) => terms.suspect(tab, classId, reason, at);
    return streams.flatMap((stream, place) => {
      const one = wanted[place];
      if (one === undefined) return [];
      const { want, prompt } = one;
      terms.onTask(want.task);
      const held = terms.hold(want.task, prompt).then((holding) => holding.held);
      held.catch(() => undefined); // Whoever delivers hears of it.
      const task = plainTask(terms.env, terms.keys, prompt, want, at, stream, held);
      // What was never begun is not to hold money or a place.
      void task.finished.then(() => (task.held === null ? terms.release(want.task) : undefined));
      const tell = (word: PartWord) => words.say(want.task, word);
      if (prompt.kind === 'embed') {
        const dimensions = terms.variants[0]?.model.embed?.dimensions ?? 0;
        return [{ task, updates: onlyVectors(task.updates(), prompt.messages.length, dimensions, suspect), tell }];
      }
      const text = prompt.messages.map(({ content }) => content).join('\n');
      const updates = keepAnswer(task, lookAtAnswer(task.updates(), text, suspect), terms.keep);
      return [{ task, updates, tell }];
    });
  };
  return {
    now,
    async open(asked) {
      if (now() < fullUntil || asked.length === 0) return [];
      const opened: OpenedAttempt[] = [];
      const places = await placesFor(terms, asked);
      const isOver = () => opened.length === asked.length || now() < fullUntil;
      for (const { pool, free } of places) {
        if (isOver()) break;
        if (free > 0) opened.push(...(await openIn(pool, asked.slice(opened.length, opened.length + free), 1)));
      }
      // What found no free tab stands in the line of the best.
      if (!isOver()) opened.push(...(await openIn(places[0]?.pool ?? 0, asked.slice(opened.length), MOST_SPARE_PARTS)));
      return opened;
    },
  };
}

/** The pools that the parts may go to, the best first. */
async function placesFor(terms: PartTerms, asked: readonly AttemptWant<PartPrompt>[]): Promise<readonly Place[]> {
  const { claim, level, checks, variants } = terms;
  return new AllPools(terms.env).place(
    {
      allow: claim.allow,
      block: claim.block,
      regions: claim.regions ?? [],
      conversation: claim.conversation,
      classes: variants.map(({ class: id }) => id),
      level,
      checks,
      tokens: Math.max(...asked.map(({ prompt }) => prompt.sampling.maxTokens)),
    },
    null,
  );
}

interface Wanted {
  readonly want: LeaseWant;
  readonly prompt: PartPrompt;
}

/** Words that are said in one turn go in one call. */
class WordsOfParts {
  readonly #tell: PartTerms['tell'];
  readonly #said = new Map<PartWord, TaskTail[]>();

  constructor(tell: PartTerms['tell']) {
    this.#tell = tell;
  }

  say(task: TaskTail, word: PartWord): void {
    if (this.#said.size === 0) queueMicrotask(() => this.#flush());
    this.#said.set(word, [...(this.#said.get(word) ?? []), task]);
  }

  #flush(): void {
    for (const [word, tasks] of this.#said) this.#tell(tasks, word);
    this.#said.clear();
  }
}

async function leaseWantOf(
  terms: PartTerms,
  { prompt, avoid, class: only }: AttemptWant<PartPrompt>,
  pool: number,
): Promise<LeaseWant> {
  const task = await newTaskTail(terms.keys, terms.session, pool);
  const { network, level, variants, checks: wanted } = terms;
  const served = only === null ? variants : variants.filter((variant) => variant.class === only);
  const claim = { ...terms.claim, block: [...terms.claim.block, ...avoid] };
  const { kind = 'chat', sampling } = prompt;
  return wantOfPlainTask(
    terms.keys,
    { task, network, served, level, wanted, kind, sampling, claim, deadlineAt: terms.deadlineAt() },
    promptBytes(prompt.messages),
  );
}
