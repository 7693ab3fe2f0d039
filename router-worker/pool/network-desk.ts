import { isExactClass } from '../../shared/classes/class-id.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { KnownAnswers } from '../network-tasks/known-answers.ts';
import type { NetworkTasks } from '../network-tasks/network-tasks.ts';
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

interface Pause {
  /** When the tab may be asked again. */
  readonly until: number;
  readonly ms: number;
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

/** After a task of the network a tab rests this many times as long as it took: a slow device is not kept hot for hours to be qualified. */
const REST_TIMES = 2;

/** A tab of which nothing could be learnt is left alone for so long, ms; twice as long each time that it happens again, up to the longest. */
const PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 60 * 60 * 1000;

/** Words on a tab's answer that bring its record on. */
const DECIDED: readonly Mark['outcome'][] = ['agreed', 'refuted'];

/** One of so many free tabs is given a task of the network at a time. */
const FREE_TABS_A_TASK = 4;

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
  readonly #pauses = new Map<string, Pause>();

  constructor(host: NetworkDeskHost, tasks: NetworkTasks, known: KnownAnswers) {
    this.#host = host;
    this.#tasks = tasks;
    this.#known = known;
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
      .filter((tab) => (this.#pauses.get(tab.identity)?.until ?? 0) <= at + withinMs)
      .flatMap((tab) => tab.models.map((model) => ({ tab, classId: model.class })))
      .filter(({ tab, classId }) => records.wantsNetworkTask(tab, classId))
      .filter(({ tab, classId }) => this.#known.has(classId) || records.canBeChecked(tab, classId));
  }

  async #ask(tab: Tab, classId: string): Promise<void> {
    const { ports } = this.#host;
    const target = { tab: tab.identity, class: classId, canCheck: this.#host.records.canBeChecked(tab, classId) };
    this.#starting++;
    const named = await this.#tasks.newTask().finally(() => this.#starting--);
    const own: OwnTask = { tab: tab.identity, class: classId, abort: new AbortController(), marks: null };
    this.#running.set(named.task, own);
    ports.busy();
    ports.log('network_task_begun', { task: named.task, tab: tab.identity });
    const begunAt = ports.now();
    try {
      const { marks, learnt, blind } = await this.#tasks.ask(named, target, own.abort.signal);
      for (const checker of blind) this.#host.records.suspect(checker.tab, checker.class, 'blind_guesses');
      const said = marks ?? this.#host.records.weighed(own.marks ?? []);
      // A tab's word on another's answer proves it only when that tab has something to lose, or when nobody is there who has.
      const isProven =
        marks !== null || !this.#host.records.hasTrusted(classId) || said.some((mark) => this.#isTrusted(mark));
      // Two tabs that differ would be asked without end, one that nobody proves right too.
      const isDecided = isProven && said.some(({ role, outcome }) => role === 'answer' && DECIDED.includes(outcome));
      if (isDecided) this.#rest(tab.identity, REST_TIMES * (ports.now() - begunAt));
      else this.#pause(tab.identity);
      for (const mark of said) {
        this.#host.records.observe(mark, {
          source: isProven ? 'network' : 'user',
          byKnownAnswer: marks !== null,
        });
      }
      // What a near class writes is nobody else's answer to the byte.
      if (learnt !== null && isExactClass(classId) && said.some((mark) => this.#isTrusted(mark))) {
        const isByGuard = said.some(
          ({ tab, role, outcome }) =>
            role === 'check' && outcome === 'agreed' && this.#host.roster.get(tab)?.guard === true,
        );
        this.#known.learn(classId, isByGuard ? learnt : { ...learnt, isDoubtful: true });
      }
    } catch (cause) {
      this.#pause(tab.identity);
      ports.log('network_task_failed', { task: named.task, reason: String(cause) });
    } finally {
      this.#running.delete(named.task);
      ports.log('network_task_over', { task: named.task, tab: tab.identity });
    }
  }

  /** Something was learnt: the device may cool down a little. */
  #rest(identity: string, ms: number): void {
    this.#pauses.set(identity, { until: this.#host.ports.now() + ms, ms: 0 });
  }

  #pause(identity: string): void {
    const at = this.#host.ports.now();
    for (const [known, { until }] of this.#pauses) if (until + LONGEST_PAUSE_MS <= at) this.#pauses.delete(known);
    const before = this.#pauses.get(identity)?.ms ?? 0;
    const ms = Math.min(LONGEST_PAUSE_MS, Math.max(PAUSE_MS, 2 * before));
    this.#pauses.set(identity, { until: at + ms, ms });
  }

  /** Whether somebody with a record stands behind an answer. */
  #isTrusted({ tab, class: id, role, outcome }: Mark): boolean {
    const isFor = outcome === 'agreed' || outcome === 'passed';
    return role === 'check' && isFor && this.#host.records.isTrusted(tab, id);
  }
}
