import type { UncheckedReason } from '../../shared/checking/verdict.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Lease } from '../../shared/protocol/lease.ts';
import type { Independence } from '../../shared/receipt/receipt.ts';
import type { Wrap } from '../../shared/sealing/envelope.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import type { Decision } from '../session/session.ts';
import type { ActiveLease, LeaseBook } from './lease-book.ts';
import type { PoolPorts } from './pool-ports.ts';
import { independenceOf, type Tab } from './tab.ts';
import type { TabRoster } from './tab-roster.ts';
import type { TaskStream } from './task-stream.ts';

/** What the desk needs of its pool. */
export interface CheckDeskHost {
  readonly ports: PoolPorts;
  readonly roster: TabRoster;
  readonly leases: LeaseBook;
  stream(task: TaskTail): TaskStream | undefined;
  release(number: number): ActiveLease | null;
  decide(task: TaskTail, decision: Decision): Promise<void>;
}

const RANK = { network: 0, key: 1 } as const;

/** Checks, from the draw to the opening: carries each step between the session, the client and the two tabs. */
export class CheckDesk {
  readonly #host: CheckDeskHost;

  constructor(host: CheckDeskHost) {
    this.#host = host;
  }

  /** Tabs that could check an answer of this one, the most independent first; only free ones when there are any. */
  candidates(answered: Tab, classId: string): { tab: string; independence: Independence }[] {
    const able = this.#host.roster
      .connected()
      .filter((tab) => tab.identity !== answered.identity && tab.models.some((model) => model.class === classId));
    const free = able.filter((tab) => tab.leases.size === 0);
    return (free.length > 0 ? free : able)
      .map((tab) => ({ tab: tab.identity, independence: independenceOf(answered, tab) }))
      .sort((a, b) => RANK[a.independence] - RANK[b.independence]);
  }

  /** The session drew a checker: lease the check, and ask the client to wrap the key for it. */
  async drawn(task: TaskTail, checkerId: string): Promise<void> {
    const { roster, leases, ports } = this.#host;
    const stream = this.#host.stream(task);
    const checker = roster.get(checkerId);
    const answer = stream?.answer ?? null;
    if (stream === undefined || answer === null) return this.failed(task, checkerId, 'client_gone');
    if (checker === undefined) return this.failed(task, checkerId, 'checker_lost');
    const active = await leases.issue(checker, 'check', roster.takeKey(checker), answer.lease);
    const answered = roster.get(answer.lease.tab);
    const independence = answered === undefined ? 'key' : independenceOf(answered, checker);
    await this.#host.decide(task, await ports.sessions.checkLeased(task, active.statement, independence));
    this.#askForKey(active, answered?.socket == null ? 'client' : 'tab');
    ports.log('check_leased', { task, tab: checkerId, number: active.number });
  }

  #askForKey(active: ActiveLease, handOnBy: 'tab' | 'client'): void {
    if (active.keyStatement === null) return;
    const stream = this.#host.stream(active.lease.task);
    stream?.event({ t: 'drawn', lease: active.statement, tabKey: active.keyStatement, handOnBy });
  }

  /** The client wrapped the key: the answering tab hands the sealed body on with it. Throws `sealed_body_invalid` or `tab_lost`. */
  async wrapped(task: TaskTail, lease: Lease, wrap: Wrap): Promise<void> {
    const { roster, leases, ports } = this.#host;
    const answer = this.#host.stream(task)?.answer ?? null;
    if (lease.task !== task || lease.role !== 'check' || answer === null) {
      throw new ShoalError('sealed_body_invalid', 'The wrap is for another task.');
    }
    const active = leases.get(lease.number);
    const checker = roster.get(lease.tab);
    if (active === undefined || checker === undefined) throw new ShoalError('tab_lost', 'The checker went away.');
    await this.#host.decide(task, await ports.sessions.handedOn(task));
    active.handOnAskedAt = ports.now();
    const answered = roster.get(answer.lease.tab);
    answered?.partners.add(lease.tab);
    const direct = checker.direct && answered?.direct === true;
    const asked = roster.send(answered, { t: 'handOn', number: answer.lease.number, wrap, to: lease.tab, direct });
    if (!asked) this.#letClientHandOn(active);
  }

  #letClientHandOn(active: ActiveLease): void {
    active.handOnAskedAt = null;
    this.#askForKey(active, 'client');
  }

  /** The answering tab says how it handed a check on. */
  handedOn(tab: Tab, lease: Lease, path: 'direct' | 'relay', bytes: number): void {
    const active = this.#host.leases.get(lease.number);
    if (this.#host.stream(lease.task)?.answer?.lease.tab !== tab.identity || active === undefined) return;
    active.handedOn = { path, bytes };
  }

  /** The client sent a check's envelope itself. */
  async deliveredByClient(active: ActiveLease, bytes: number): Promise<void> {
    const { task } = active.lease;
    active.handedOn = { path: 'relay', bytes };
    await this.#host.decide(task, await this.#host.ports.sessions.handedOn(task));
  }

  /** The checker committed: let the first tab show its answer, and the checker reveal. */
  async committed(lease: Lease, leaseStatement: Signed, commit: Signed): Promise<void> {
    const { ports, leases } = this.#host;
    const handedOn = leases.get(lease.number)?.handedOn ?? null;
    const decision = await this.#orRefused(lease, () =>
      ports.sessions.checkCommitted(lease.task, leaseStatement, commit, handedOn),
    );
    if (decision.do === 'show') this.#show(lease, decision);
    else await this.#host.decide(lease.task, decision);
  }

  #show(lease: Lease, decision: Extract<Decision, { do: 'show' }>): void {
    const { roster, ports } = this.#host;
    const { answerLease, answerCommit, evidenceKey } = decision;
    const willBeShown = roster.send(roster.get(answerLease.tab), {
      t: 'show',
      number: answerLease.number,
      check: lease.number,
      to: lease.tab,
      evidenceKey,
    });
    roster.send(roster.get(lease.tab), { t: 'reveal', number: lease.number, commit: answerCommit, willBeShown });
    ports.log('check_committed', { task: lease.task, tab: lease.tab });
  }

  async revealed(lease: Lease, leaseStatement: Signed, reveal: Signed, evidence: string | null): Promise<void> {
    if (evidence !== null) {
      const stream = this.#host.stream(lease.task);
      stream?.event({ t: 'evidence', number: lease.number, checker: lease.tab, frame: evidence });
    }
    const decision = await this.#orRefused(lease, () =>
      this.#host.ports.sessions.checkRevealed(lease.task, leaseStatement, reveal),
    );
    this.#host.release(lease.number);
    await this.#host.decide(lease.task, decision);
  }

  async failed(task: TaskTail, checker: string, reason: UncheckedReason): Promise<void> {
    await this.#host.decide(task, await this.#host.ports.sessions.checkFailed(task, checker, reason));
  }

  /** A check that was not handed on in time is handed on by the client. */
  tick(): void {
    for (const active of this.#host.leases.notHandedOn()) this.#letClientHandOn(active);
  }

  /** What a checker sent does not hold: the check ends, the answer stays unchecked. */
  async #orRefused(lease: Lease, act: () => Promise<Decision>): Promise<Decision> {
    try {
      return await act();
    } catch (cause) {
      const { ports } = this.#host;
      ports.log('check_refused', { task: lease.task, tab: lease.tab, reason: ShoalError.from(cause).message });
      return ports.sessions.checkFailed(lease.task, lease.tab, 'checker_refused');
    }
  }
}
