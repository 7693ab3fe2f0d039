import type { DrawCandidate } from '../../shared/checking/draw.ts';
import { limitsOf, METHODS } from '../../shared/checking/rung.ts';
import type { Receipt } from '../../shared/receipt/receipt.ts';
import type { Signed, Signer } from '../../shared/signing/signed-statement.ts';
import type { PricedHold } from '../billing/bill.ts';
import { linesOf } from '../billing/bill.ts';
import { type EndedTask, rungOfCheck } from './task.ts';

/** The signed receipt of an ended task. The same task and hold give the same text, so signing again after a crash changes nothing. `hold` null: nothing was set aside. */
export function buildReceipt(task: EndedTask, router: Signer, hold: PricedHold | null): Promise<Signed> {
  const checks = task.checks.map((check) => ({
    checker: check.checker,
    independence: check.independence,
    method: METHODS[rungOfCheck(check)],
    limits: limitsOf(rungOfCheck(check), task.model),
    lease: check.leaseStatement,
    commit: check.commit,
    reveal: check.reveal,
    handedOn: check.handedOn,
  }));
  const unpriced: Receipt = {
    v: 3,
    task: task.task,
    network: task.network,
    model: task.model,
    variant: task.variant,
    class: task.lease.class,
    private: task.private,
    level: task.level,
    wanted: task.wanted,
    sampling: task.sampling,
    openedAt: task.openedAt,
    endedAt: task.endedAt,
    outcome: task.outcome,
    standing: task.standing,
    lease: task.leaseStatement,
    commit: task.committed?.statement ?? null,
    draw:
      task.draw === null
        ? null
        : { secret: task.draw.secret, candidates: task.draw.order.map(named), drawn: task.draw.drawn },
    checks,
    verdict: task.verdict,
    readers: [
      ...(task.private ? [] : [{ role: 'router' as const, key: router.publicKey }]),
      { role: 'answer' as const, key: task.lease.tab },
      ...(task.earlier ?? []).map((tab) => ({ role: 'answer' as const, key: tab })),
      ...task.checks.map((check) => ({ role: 'check' as const, key: check.checker })),
    ],
  };
  const receipt: Receipt = { ...unpriced, price: hold === null ? null : linesOf(task, unpriced, hold) };
  return router.sign('receipt', JSON.stringify(receipt));
}

function named({ tab, independence }: DrawCandidate): DrawCandidate {
  return { tab, independence };
}
