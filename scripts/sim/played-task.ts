import {
  drawnOf,
  type EndedTask,
  openTask,
  stepTask,
  type Task,
  type TaskEvent,
} from '../../router-worker/task/task.ts';
import type { AnswerChain } from '../../shared/checking/digest-chain.ts';
import type { DrawCandidate } from '../../shared/checking/draw.ts';
import type { Standing } from '../../shared/checking/standing.ts';
import { type Lease, LIKELIEST } from '../../shared/protocol/lease.ts';
import type { AnswerCommit, CheckReveal } from '../../shared/receipt/statements.ts';
import type { Level } from './demand.ts';

/** The one class of the simulated network. */
export const CLASS = 'cls';

/** Nobody here lies about them. */
const TOKENS = { prompt: 1, completion: 1 };

/** What was written, as far as it matters: equal numbers are equal answers. 0 is the truth. */
export type Written = number;
export const TRUTH: Written = 0;

/** In the place of everything that is signed: the machine reads no signature. */
const SIGNED = { payload: '', key: '', signature: '' };

/** A lease of which the machine reads who, what and in which class. */
function leaseOf(tab: string): Lease {
  return { tab, task: '', class: CLASS, variant: '', model: '', rung: 'exact' } as Lease;
}

function chainOf(written: Written): AnswerChain {
  return { blocks: [], head: String(written), bytes: 0 };
}

/** One user's task, or question of the network, on the router's own machine, from the commit of the answer to the verdict. */
export class PlayedTask {
  #task: Task;

  constructor(terms: {
    readonly level: Level;
    readonly tab: string;
    readonly standing: Standing;
    readonly at: number;
  }) {
    this.#task = openTask({
      task: '',
      network: '',
      model: '',
      variant: '',
      private: false,
      level: terms.level,
      wanted: 1,
      sampling: LIKELIEST,
      openedAt: terms.at,
      readablePromptBytes: 0,
      leaseStatement: SIGNED,
      lease: leaseOf(terms.tab),
      standing: terms.standing,
    });
  }

  /** The answer is there. `draw` is asked only when it is checked. */
  committed(at: number, written: Written, isSampled: boolean, draw: () => readonly DrawCandidate[]): void {
    this.#step({
      type: 'committed',
      at,
      statement: SIGNED,
      commit: { chain: chainOf(written), finish: 'stop', class: CLASS, tokens: TOKENS } as AnswerCommit,
      get order() {
        return draw();
      },
      secret: '',
      stopped: false,
      sampled: isSampled,
    });
  }

  /** Who is to check now; null when nobody is: a check is under way, or the task has ended. */
  get drawn(): string | null {
    return this.#task.phase === 'drawing' ? (drawnOf(this.#task)?.tab ?? null) : null;
  }

  /** The drawn tab is at work. */
  checkBegun(at: number, checker: string): void {
    this.#step({ type: 'check_leased', at, checker, leaseStatement: SIGNED, lease: leaseOf(checker) });
    this.#step({ type: 'handed_on', at });
  }

  checked(at: number, checker: string, written: Written): void {
    this.#step({
      type: 'check_committed',
      at,
      checker,
      statement: SIGNED,
      commitment: '',
      evidenceKey: '',
      handedOn: null,
    });

    const reveal = {
      form: 'written',
      chain: chainOf(written),
      tokens: TOKENS,
      shown: null,
      embedding: null,
    } as CheckReveal;
    this.#step({ type: 'check_revealed', at, checker, statement: SIGNED, reveal, opens: true });
  }

  /** The check's deadline has passed. */
  late(at: number): void {
    this.#step({ type: 'clock', at });
  }

  /** The drawn tab is not there any more. */
  gone(at: number, checker: string): void {
    this.#step({ type: 'check_failed', at, checker, reason: 'checker_lost', isBlameless: false });
  }

  /** Null before the end. */
  get ended(): EndedTask | null {
    return this.#task.phase === 'ended' ? this.#task : null;
  }

  #step(event: TaskEvent): void {
    this.#task = stepTask(this.#task, event);
  }
}
