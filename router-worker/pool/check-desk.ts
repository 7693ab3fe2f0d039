import type { DrawCandidate } from '../../shared/checking/draw.ts';
import { isRead, rungOf } from '../../shared/checking/rung.ts';
import type { UncheckedReason } from '../../shared/checking/verdict.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import { type Lease, lease as leaseSchema } from '../../shared/protocol/lease.ts';
import { ANYWHERE, isAllowed, type Placement } from '../../shared/protocol/placement.ts';
import { RUNGS, type Rung } from '../../shared/protocol/rungs.ts';
import type { ReadyModel } from '../../shared/protocol/tab-socket.ts';
import { checkReveal } from '../../shared/receipt/statements.ts';
import type { Wrap } from '../../shared/sealing/envelope.ts';
import { parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';
import type { Decision } from '../session/session.ts';
import type { ActiveLease, KnownLease, LeaseBook } from './lease-book.ts';
import { nameApartFirst } from './name-candidates.ts';
import type { PoolPorts } from './pool-ports.ts';
import { haveOneOwner, independenceOf, MAX_PARTNERS, type Tab } from './tab.ts';
import type { TabRecords } from './tab-records.ts';
import type { TabRoster } from './tab-roster.ts';
import type { TaskBook } from './task-book.ts';

/** What the desk needs of its pool. */
export interface CheckDeskHost {
  readonly ports: PoolPorts;
  readonly roster: TabRoster;
  readonly leases: LeaseBook;
  readonly tasks: TaskBook;
  readonly records: TabRecords;
  release(number: number): ActiveLease | null;
  decide(task: TaskTail, decision: Decision): Promise<void>;
}

/** Checks, from the draw to the opening: carries each step between the session, the client and the two tabs. */
export class CheckDesk {
  readonly #host: CheckDeskHost;

  constructor(host: CheckDeskHost) {
    this.#host = host;
  }

  /**
   * Tabs that could check an answer of this one, in no order. Free and trusted ones are preferred, as long as there are enough to settle a dispute;
   * resting ones are named when there is nobody else, and those that may not serve never. Tabs of the same owner come after all others.
   */
  candidates(answered: Tab, lease: Answered, placement: Placement = ANYWHERE): DrawCandidate[] {
    const { roster, ports, records } = this.#host;
    const isTrusted = (tab: Tab) => {
      const running = strongestOf(tab, lease);
      return running !== null && records.rank(tab, running.class) === 0;
    };
    const fitness = {
      isResting: (tab: Tab) => roster.isResting(tab),
      isFree: (tab: Tab) => tab.leases.size === 0,
      isTrusted,
    };
    const isApart = (tab: Tab) => !haveOneOwner(answered, tab);
    return nameApartFirst(this.#strongest(answered, lease, placement), isApart, fitness, ports.random).map((tab) => ({
      tab: tab.identity,
      independence: independenceOf(answered, tab),
    }));
  }

  /**
   * Everybody who can check on the strongest rung on which anybody can, and may by the record of the class that this takes: whoever may not check in the class
   * itself compares nothing either.
   */
  #strongest(answered: Tab, lease: Answered, placement: Placement): Tab[] {
    const { roster, records } = this.#host;
    const byRung = new Map<Rung, Tab[]>();
    for (const tab of roster.connected()) {
      if (!isAllowed(placement, tab.identity)) continue;
      const running = tab.identity === answered.identity ? null : strongestOf(tab, lease);
      if (running === null || records.rank(tab, running.class) === null) continue;
      byRung.set(running.rung, [...(byRung.get(running.rung) ?? []), tab]);
    }
    for (const rung of RUNGS) {
      const able = byRung.get(rung);
      if (able !== undefined) return able;
    }
    return [];
  }

  /** The session drew a checker: lease the check, and ask the client to wrap the key for it. */
  async drawn(task: TaskTail, checkerId: string): Promise<void> {
    const { roster, leases, ports, tasks } = this.#host;
    for (const active of leases.ofTask(task)) {
      // Whoever was drawn before is too late.
      if (active.lease.role !== 'check' || active.lease.tab === checkerId) continue;
      roster.send(active.tab, { t: 'stop', number: active.number });
      this.#host.release(active.number);
    }
    const served = tasks.get(task);
    const checker = roster.get(checkerId);
    // Without the client nobody can wrap the key.
    if (served?.stream == null || served.answer === null) return this.failed(task, checkerId, 'client_gone');
    if (checker?.socket == null) return this.failed(task, checkerId, 'checker_lost');
    const variant = strongestOf(checker, served.answer);
    if (variant === null) return this.failed(task, checkerId, 'checker_lost'); // It serves something else by now.
    const terms = { ...served.answer, variant: variant.variant, class: variant.class, rung: variant.rung };
    const active = await leases.issue(checker, 'check', roster.takeKey(checker), terms);
    const decision = await ports.sessions.checkLeased(task, active.statement);
    if (decision.do !== 'wrap') {
      this.#host.release(active.number); // The task went on without it.
      return this.#host.decide(task, decision);
    }
    const answered = roster.get(served.answer.tab);
    this.#askForKey(active, answered?.socket == null ? 'client' : 'tab');
    ports.log('check_leased', { task, tab: checkerId, number: active.number });
  }

  #askForKey(active: ActiveLease, handOnBy: 'tab' | 'client'): void {
    if (active.keyStatement === null) return;
    this.#host.tasks.tell(active.lease.task, {
      t: 'drawn',
      lease: active.statement,
      tabKey: active.keyStatement,
      handOnBy,
    });
  }

  /** A client that came back may not have heard that the key is wanted. */
  async askAgain(task: TaskTail, checkLease: Signed): Promise<void> {
    const { lease } = await this.#host.leases.find(checkLease);
    const active = this.#host.leases.get(lease.number);
    // A pool that lost its memory has no proof of the checker's key any more.
    if (active === undefined) return this.failed(task, lease.tab, 'checker_lost', true);
    this.#askForKey(active, 'tab');
  }

  /** The client wrapped the key: the answering tab hands the sealed body on with it. Throws `sealed_body_invalid` or `tab_lost`. */
  async wrapped(task: TaskTail, lease: Lease, wrap: Wrap): Promise<void> {
    const { roster, leases, ports, tasks } = this.#host;
    const answer = tasks.get(task)?.answer ?? null;
    if (lease.role !== 'check' || answer === null) {
      throw new ShoalError('sealed_body_invalid', 'The wrap is for no check of this task.');
    }
    const active = leases.get(lease.number);
    const checker = roster.get(lease.tab);
    if (active === undefined || checker === undefined) throw new ShoalError('tab_lost', 'The checker went away.');
    // Asked once: each time costs the answering tab the whole envelope.
    if (active.handOnAskedAt !== null || active.state !== 'leased') return;
    active.handOnAskedAt = ports.now();
    await this.#host.decide(task, await ports.sessions.handedOn(task));
    const answered = roster.get(answer.tab);
    if (answered !== undefined && answered.partners.size < MAX_PARTNERS) answered.partners.add(lease.tab);
    const direct = checker.direct && answered?.direct === true;
    const asked = roster.send(answered, { t: 'handOn', number: answer.number, wrap, to: lease.tab, direct });
    if (!asked) await this.#letClientHandOn(active);
  }

  /** No tab can prevent its own check: the client sends the subtask itself. Without a client nobody can. */
  async #letClientHandOn(active: ActiveLease): Promise<void> {
    active.handOnAskedAt = null;
    const { task, tab } = active.lease;
    if (this.#host.tasks.get(task)?.stream == null) return this.failed(task, tab, 'client_gone');
    this.#askForKey(active, 'client');
  }

  /** The answering tab says how it handed a check on. */
  handedOn(tab: Tab, statement: Signed, path: 'direct' | 'relay', bytes: number): void {
    const { number, task } = parsePayload('lease', leaseSchema, statement);
    const active = this.#host.leases.get(number);
    const isItsOwn = this.#host.tasks.get(task)?.answer?.tab === tab.identity;
    if (active?.statement.signature !== statement.signature || active.lease.task !== task || !isItsOwn) return;
    active.handedOn = { path, bytes };
  }

  /** The client sent a check's envelope itself. */
  async deliveredByClient(active: ActiveLease, bytes: number): Promise<void> {
    const { task } = active.lease;
    active.handedOn = { path: 'relay', bytes };
    active.isFromClient = true;
    await this.#host.decide(task, await this.#host.ports.sessions.handedOn(task));
  }

  /** The checker committed: let the first tab show its answer, and the checker reveal. */
  async committed({ lease, statement, active }: KnownLease, commit: Signed): Promise<void> {
    const decision = await this.#orRefused(lease, () =>
      this.#host.ports.sessions.checkCommitted(lease.task, statement, commit, active?.handedOn ?? null),
    );
    await this.#host.decide(lease.task, decision);
  }

  /** Both tabs are told: one to show its answer, or the first chunk of it, the other to expect it and then to reveal. */
  show(task: TaskTail, decision: Extract<Decision, { do: 'show' }>): void {
    const { roster, leases, ports } = this.#host;
    const { answerLease, answerCommit, evidenceKey, checkLease, commitment } = decision;
    const isReading = isRead(checkLease.rung);
    const active = leases.get(checkLease.number);
    if (active !== undefined && isReading) active.reading ??= { answerLease, evidenceKey, leaves: [commitment] };
    const willBeShown = this.#show(answerLease, checkLease, evidenceKey, isReading ? 0 : null);
    roster.send(roster.get(checkLease.tab), {
      t: 'reveal',
      number: checkLease.number,
      commit: answerCommit,
      willBeShown,
    });
    ports.log('check_committed', { task, tab: checkLease.tab });
  }

  #show(answer: Lease, check: Lease, evidenceKey: string, chunk: number | null): boolean {
    const { roster } = this.#host;
    return roster.send(roster.get(answer.tab), {
      t: 'show',
      number: answer.number,
      check: check.number,
      to: check.tab,
      evidenceKey,
      chunk,
    });
  }

  /** A checker that reads has guessed how the next chunk begins: that is shown now. A guess that was heard before changes nothing. */
  async guessed({ lease, active }: KnownLease, index: number, leaf: string): Promise<void> {
    const reading = active?.reading;
    // A pool that lost its memory cannot say which guesses came in time.
    if (reading == null) return this.failed(lease.task, lease.tab, 'checker_lost', true);
    if (index > reading.leaves.length) throw new ShoalError('invalid_value', 'A guess was left out.');
    if (index === reading.leaves.length) reading.leaves.push(leaf);
    this.#show(reading.answerLease, lease, reading.evidenceKey, index);
  }

  async revealed({ lease, statement, active }: KnownLease, reveal: Signed, evidence: string | null): Promise<void> {
    const { ports, tasks } = this.#host;
    const leaves = active?.reading?.leaves ?? [];
    if (leaves.length === 0 && parsePayload('check-reveal', checkReveal, reveal).form === 'read') {
      this.#host.release(lease.number);
      return this.failed(lease.task, lease.tab, 'checker_lost', true); // As for a guess.
    }
    if (evidence !== null) {
      tasks.tell(lease.task, { t: 'evidence', number: lease.number, checker: lease.tab, frame: evidence });
    }
    const decision = await this.#orRefused(lease, () =>
      ports.sessions.checkRevealed(lease.task, statement, reveal, leaves),
    );
    this.#host.release(lease.number);
    await this.#host.decide(lease.task, decision);
  }

  /** A checker went away, or says that it cannot check. */
  async gaveUp(lease: Lease, active: ActiveLease | null, { code }: ShoalError): Promise<void> {
    const isUnreadable = code === 'sealed_body_invalid';
    // What the answering tab handed on was not what the client had sealed, or the checker says so: the client sends it itself.
    if (isUnreadable && active !== null && !active.isFromClient) return this.#letClientHandOn(active);
    this.#host.release(lease.number);
    await this.failed(lease.task, lease.tab, 'checker_lost', isUnreadable);
  }

  /** The checker is needed for a user: nothing is wrong with it. */
  dropped({ number, lease }: ActiveLease): void {
    this.#host.release(number);
    this.failed(lease.task, lease.tab, 'checker_lost', true).catch((cause) =>
      this.#host.ports.log('session_unreachable', { task: lease.task, reason: String(cause) }),
    );
  }

  /** `isBlameless`: it may well have been somebody else's fault, and does not go on the checker's record. */
  async failed(task: TaskTail, checker: string, reason: UncheckedReason, isBlameless = false): Promise<void> {
    await this.#host.decide(task, await this.#host.ports.sessions.checkFailed(task, checker, reason, isBlameless));
  }

  /** A check that was not handed on in time is handed on by the client. */
  tick(): void {
    for (const active of this.#host.leases.notHandedOn()) {
      this.#letClientHandOn(active).catch((cause) =>
        this.#host.ports.log('session_unreachable', { task: active.lease.task, reason: String(cause) }),
      );
    }
  }

  /** What a checker sent does not hold: the check ends, the answer stays unchecked. A fault of our own is not its fault. */
  async #orRefused(lease: Lease, act: () => Promise<Decision>): Promise<Decision> {
    try {
      return await act();
    } catch (cause) {
      const { ports } = this.#host;
      const { code, message } = ShoalError.from(cause);
      if (code === 'internal_error') throw cause;
      ports.log('check_refused', { task: lease.task, tab: lease.tab, reason: message });
      return ports.sessions.checkFailed(lease.task, lease.tab, 'checker_refused', false);
    }
  }
}

type Answered = Pick<Lease, 'class' | 'model' | 'variant' | 'kind' | 'sampling'>;

/** What a tab would check an answer with, of all that it serves; null when it serves nothing of the kind. */
function strongestOf(tab: Tab, answered: Answered): (ReadyModel & { readonly rung: Rung }) | null {
  const able = tab.models.flatMap((model) => {
    const rung = rungOf(answered, model);
    return rung === null ? [] : [{ ...model, rung }];
  });
  return able.sort((a, b) => RUNGS.indexOf(a.rung) - RUNGS.indexOf(b.rung))[0] ?? null;
}
