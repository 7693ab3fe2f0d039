import type { TaskTail } from '../../shared/protocol/fields.ts';
import { receipt as receiptSchema } from '../../shared/receipt/receipt.ts';
import { parsePayload } from '../../shared/signing/signed-statement.ts';
import type { SessionStore } from '../session/session-store.ts';
import { type Bill, billOf, type PricedHold } from './bill.ts';

/** The tasks of a session, as far as money goes. */
export interface BilledTasks {
  /** `unknown`: not begun, or never heard of. */
  standing(task: TaskTail): 'unknown' | 'open' | 'ended';
  /** Null for one that has not. */
  endedAt(task: TaskTail): number | null;
  /** Whether the receipt of a task that ended says that its answer was thrown away. */
  saysDiscarded(task: TaskTail): boolean;
  /** Of a task that ended. */
  bill(task: TaskTail, hold: PricedHold): Bill;
}

export function billedTasks(store: Pick<SessionStore, 'load' | 'receipt'>): BilledTasks {
  return {
    standing(tail) {
      const task = store.load(tail);
      if (task === null) return 'unknown';
      return task.phase === 'ended' && store.receipt(tail) !== null ? 'ended' : 'open';
    },
    endedAt(tail) {
      const task = store.load(tail);
      return task?.phase === 'ended' ? task.endedAt : null;
    },
    saysDiscarded(tail) {
      const receipt = store.receipt(tail);
      return receipt !== null && parsePayload('receipt', receiptSchema, receipt).price?.discarded === true;
    },
    bill(tail, hold) {
      const task = store.load(tail);
      const receipt = store.receipt(tail);
      if (task?.phase !== 'ended' || receipt === null) throw new Error(`task ${tail} has not ended`);
      return billOf(task, parsePayload('receipt', receiptSchema, receipt), hold);
    },
  };
}
