import { isExactClass } from '../../shared/classes/class-id.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Reading } from '../calibration/readings-of.ts';
import type { KnownAnswers } from '../network-tasks/known-answers.ts';
import type { NetworkTasks } from '../network-tasks/network-tasks.ts';
import { QuestionPauses } from '../network-tasks/question-pauses.ts';
import { weighQuestion } from '../network-tasks/weigh-question.ts';
import type { Mark } from '../task/marks.ts';
import type { PoolPorts } from './pool-ports.ts';
import type { Tab } from './tab.ts';
import type { TabRecords } from './tab-records.ts';
import type { TabRoster } from './tab-roster.ts';
import type { WaitingLine } from './waiting-line.ts';

/** What the desk needs of its pool. */
export interface NetworkDeskHost {
  readonly ports: PoolPorts;
  readonly roster: TabRoster;
  readonly waiting: WaitingLine;
  readonly records: TabRecords;
}

interface OwnTask {
  readonly tab: string;
  readonly class: string;
  readonly abort: AbortController;
  /** What the round said of who took part; null before its end. */
  marks: readonly Mark[] | null;
}

/** The pool stays awake for tabs whose rest ends within this time, ms. Those that rest longer are asked when it wakes for something else. */
const REST_AHEAD_MS = 30_000;

/** One of so many free tabs is given a task of the network at a time. */
export const FREE_TABS_A_TASK = 4;

/**
 * Gives idle tabs the network's own tasks: new ones, those under suspicion, and now and then any. Users go first: while somebody waits none is begun,
 * and one that stands in the way is stopped.
 */
export class NetworkDesk {
  readonly #host: NetworkDeskHost;
  readonly #tasks: NetworkTasks;
  readonly #known: KnownAnswers;
  readonly #running = new Map<TaskTail, OwnTask>();
  #starting = 0;
  /** Tabs of which nothing could be learnt just now, by identity. */
  readonly #pauses: QuestionPauses;

  constructor(host: NetworkDeskHost, tasks: NetworkTasks, known: KnownAnswers) {
    this.#host = host;
    this.#tasks = tasks;
    this.#known = known;
    this.#pauses = new QuestionPauses(() => host.ports.now());
  }

  /** Whether {@link tick} is wanted, although no user's task is in hand. */
  get isBusy(): boolean {
    return this.#running.size + this.#starting > 0 || this.#wanting(REST_AHEAD_MS).length > 0;
  }

  /** Whether a task is one of the network's own. */
  owns(task: TaskTail): boolean {
    return this.#running.has(task);
  }

  /** The round of an own task has ended. */
  ended(task: TaskTail, marks: readonly Mark[]): void {
    const own = this.#running.get(task);
    if (own !== undefined) own.marks = marks;
  }

  /** A user is there and no tab of these classes is free: one that works for the network is set free. */
  makeRoom(classes: readonly string[]): void {
    for (const own of this.#running.values()) {
      if (!classes.includes(own.class) || own.abort.signal.aborted) continue;
      own.abort.abort();
      return;
    }
  }

  /** Stops an own task, because its tab is wanted. `false`: it is none. */
  stop(task: TaskTail): boolean {
    const own = this.#running.get(task);
    own?.abort.abort();
    return own !== undefined;
  }

  /** Begins what there is to do. Called about once a second while the pool is awake, and when a tab has joined. */
  tick(): void {
    const { waiting, ports } = this.#host;
    if (waiting.length > 0) return;
    const most = Math.max(1, Math.floor(this.#free().length / FREE_TABS_A_TASK));
    if (this.#running.size + this.#starting >= most) return;
    const wanting = this.#wanting();
    const chosen = wanting[Math.floor(ports.random() * wanting.length)];
    if (chosen === undefined) return;
    ports.busy();
    void this.#ask(chosen.tab, chosen.classId);
  }

  #free(): Tab[] {
    const { roster } = this.#host;
    return roster.connected().filter((tab) => tab.leases.size === 0 && !roster.isResting(tab));
  }

  /** Free tabs that should be asked something, now or within this time, ms. */
  #wanting(withinMs = 0): { readonly tab: Tab; readonly classId: string }[] {
    const { records, ports } = this.#host;
    const at = ports.now();
    return this.#free()
      .filter((tab) => this.#pauses.until(tab.identity) <= at + withinMs)
      .flatMap((tab) => tab.models.map((model) => ({ tab, classId: model.class })))
      .filter(({ tab, classId }) => records.wantsNetworkTask(tab, classId))
      .filter(({ tab, classId }) => this.#known.has(classId) || records.canBeChecked(tab, classId));
  }

  async #ask(tab: Tab, classId: string): Promise<void> {
    const { ports } = this.#host;
    const target = { tab: tab.identity, class: classId, canCheck: this.#host.records.canBeProven(tab, classId) };
    this.#starting++;
    const named = await this.#tasks.newTask().finally(() => this.#starting--);
    const own: OwnTask = { tab: tab.identity, class: classId, abort: new AbortController(), marks: null };
    this.#running.set(named.task, own);
    ports.busy();
    ports.log('network_task_begun', { task: named.task, tab: tab.identity });
    const begunAt = ports.now();
    try {
      const { marks, learnt, blind, readings } = await this.#tasks.ask(named, target, own.abort.signal);
      for (const checker of blind) this.#host.records.suspect(checker.tab, checker.class, 'blind_guesses');
      // Of whoever is trusted: a stranger's figures would be whatever it likes. A trusted one may lie too, which is why nothing here moves a limit.
      const isTrusted = (seen: Reading['answered']) => this.#host.records.isTrusted(seen.tab, seen.class);
      for (const reading of readings) {
        if (isTrusted(reading.answered) && isTrusted(reading.checker)) ports.readings.add(reading);
      }
      const said = weighQuestion(marks, own.marks ?? [], {
        isTrusted: (mark) => this.#host.records.isTrusted(mark.tab, mark.class),
        hasTrusted: this.#host.records.hasTrusted(classId),
      });
      if (said.isDecided) this.#pauses.learnt(tab.identity, ports.now() - begunAt);
      else this.#pauses.nothingLearnt(tab.identity);
      for (const mark of said.marks) {
        this.#host.records.observe(mark, { source: said.source, byKnownAnswer: marks !== null });
      }
      // What a near class writes is nobody else's answer to the byte.
      if (learnt !== null && isExactClass(classId) && said.isConfirmed) {
        const isByGuard = said.marks.some(
          ({ tab, role, outcome }) =>
            role === 'check' && outcome === 'agreed' && this.#host.roster.get(tab)?.guard === true,
        );
        this.#known.learn(classId, isByGuard ? learnt : { ...learnt, isDoubtful: true });
      }
    } catch (cause) {
      this.#pauses.nothingLearnt(tab.identity);
      ports.log('network_task_failed', { task: named.task, reason: String(cause) });
    } finally {
      this.#running.delete(named.task);
      ports.log('network_task_over', { task: named.task, tab: tab.identity });
    }
  }
}
