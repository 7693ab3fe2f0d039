import type { Standing } from '../../shared/checking/standing.ts';
import { isExactClass } from '../../shared/classes/class-id.ts';
import { canBeProven } from '../network-tasks/can-be-proven.ts';
import { AnswerSizes } from '../record/answer-sizes.ts';
import { mayServe, type Finding as RecordFinding, SERVING_ORDER, type Source } from '../record/record.ts';
import type { RecordBook, TabView } from '../record/record-book.ts';
import { findingFor, weighMarks } from '../record/weigh-marks.ts';
import type { Mark } from '../task/marks.ts';
import type { Tab } from './tab.ts';
import type { TabRoster } from './tab-roster.ts';

/** Why an answer looked wrong. */
export type Suspicion = Extract<RecordFinding, { outcome: 'suspicious' }>['reason'];

/** What the pool asks of the records of its tabs: who may serve, who goes first, which answers are checked. */
export class TabRecords {
  readonly #book: RecordBook;
  readonly #roster: TabRoster;
  readonly #random: () => number;
  readonly #sizes = new AnswerSizes();

  constructor(book: RecordBook, roster: TabRoster, random: () => number) {
    this.#book = book;
    this.#roster = roster;
    this.#random = random;
  }

  /** Place in the order of serving, 0 first; null for a tab that may not serve. A guard is trusted by its pass. */
  rank(tab: Tab, classId: string): number | null {
    const standing = this.#book.standing(tab.identity, classId);
    if (tab.guard && standing !== 'banned') return 0; // By the operator's word, that is: a guard commits no fraud on record.
    return mayServe(standing) ? SERVING_ORDER.indexOf(standing) : null;
  }

  standing(tab: Tab, classId: string): Standing {
    return this.#book.standing(tab.identity, classId);
  }

  /** By its record or as a guard, whether it is still there or not. */
  isTrusted(identity: string, classId: string): boolean {
    const standing = this.#book.standing(identity, classId);
    return standing === 'trusted' || (standing !== 'banned' && this.#roster.get(identity)?.guard === true);
  }

  /** Whether anybody who can check answers of the class is trusted. */
  hasTrusted(classId: string): boolean {
    return this.#checkersOf(classId).some((checker) => checker.rank === 0);
  }

  /** Whether anybody else is there who may check this tab. */
  canBeChecked(tab: Tab, classId: string): boolean {
    return this.#checkersOf(classId).some((checker) => checker.tab !== tab);
  }

  /** Whether somebody can prove what this tab answers to a new question: see {@link canBeProven}. */
  canBeProven(tab: Tab, classId: string): boolean {
    const others = this.#checkersOf(classId).filter((checker) => checker.tab !== tab);
    const trusted = others.filter(({ rank }) => rank === 0);
    const free = trusted.filter((checker) => checker.tab.leases.size === 0);
    return canBeProven({ serving: others.length, trusted: trusted.length, freeTrusted: free.length });
  }

  /** One that only checks is asked for nothing but its way out of quarantine: there is no other. */
  wantsNetworkTask(tab: Tab, classId: string): boolean {
    if (tab.guard || !this.#book.wantsNetworkTask(tab.identity, classId)) return false;
    return !tab.checkOnly || this.#book.standing(tab.identity, classId) === 'quarantined';
  }

  /**
   * Whether an answer of level `basic` is checked: by the tab's record, the answer's size, and how many tabs are idle. In bytes of the chain, which the client
   * holds against what it received: a tab that claims fewer tokens than it wrote would be checked less, and one that claims very many would move the mean.
   */
  samples(tab: Tab, classId: string, claimedBytes: number): boolean {
    const size = this.#sizes.next(claimedBytes);
    const serving = this.#servingTabs(classId);
    const idleShare = serving.length === 0 ? 0 : serving.filter((one) => one.leases.size === 0).length / serving.length;
    return this.#random() < this.#book.rate(tab.identity, classId, idleShare, size);
  }

  /** Marks as they go on record: strangers refute nobody, and tabs of one owner do not speak for each other. See {@link weighMarks}. */
  weighed(marks: readonly Mark[]): Mark[] {
    const heard = this.#areOfOneOwner(marks) ? marks.filter(({ outcome }) => outcome !== 'agreed') : marks;
    return weighMarks(heard, (mark) => this.isTrusted(mark.tab, mark.class));
  }

  /** Whether all that found the same are known to be one account's. */
  #areOfOneOwner(marks: readonly Mark[]): boolean {
    const same = marks.filter(({ outcome }) => outcome === 'agreed' || outcome === 'passed');
    const owners = new Set(same.map(({ tab }) => this.#roster.get(tab)?.owner ?? null));
    return same.length > 1 && owners.size === 1 && !owners.has(null);
  }

  observe(mark: Mark, how: { readonly source: Source; readonly byKnownAnswer: boolean }): void {
    const finding = findingFor(mark, how.byKnownAnswer);
    if (finding !== null) this.#book.observe(mark.tab, mark.class, finding, mark.role, how.source);
  }

  suspect(identity: string, classId: string, reason: Suspicion): void {
    const role = reason === 'blind_guesses' ? 'check' : 'answer';
    this.#book.observe(identity, classId, { outcome: 'suspicious', reason }, role, 'user');
  }

  /** Two tabs wrote different beginnings of one answer, and nobody knows which was right. */
  disagreed(identity: string, classId: string): void {
    this.#book.observe(identity, classId, { outcome: 'disputed' }, 'answer', 'user');
  }

  view(identity: string): TabView {
    return this.#book.view(identity);
  }

  /** By word of the operator. */
  ban(identity: string, classId: string): void {
    this.#book.ban(identity, classId);
  }

  pardon(identity: string, classId: string): void {
    this.#book.pardon(identity, classId);
  }

  /** An exact class checks itself; answers of a near one are read by everybody who runs the same file. */
  #checkersOf(classId: string): { readonly tab: Tab; readonly rank: number }[] {
    const everybody = this.#roster.connected().flatMap((tab) => tab.models.map((model) => ({ tab, model })));
    const served = everybody.find(({ model }) => model.class === classId)?.model;
    const able = everybody.filter(({ model }) =>
      isExactClass(classId)
        ? model.class === classId
        : model.model === served?.model && model.variant === served.variant,
    );
    const ranks = new Map<Tab, number>(); // A tab that runs the file in two ways is one checker.
    for (const { tab, model } of able) {
      const rank = this.rank(tab, model.class);
      if (rank !== null) ranks.set(tab, Math.min(rank, ranks.get(tab) ?? rank));
    }
    return [...ranks].map(([tab, rank]) => ({ tab, rank }));
  }

  #servingTabs(classId: string): Tab[] {
    return this.#roster
      .connected()
      .filter((tab) => tab.models.some((model) => model.class === classId) && this.rank(tab, classId) !== null);
  }
}
