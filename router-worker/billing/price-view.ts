import type { TaskTail } from '../../shared/protocol/fields.ts';
import { receipt as receiptSchema } from '../../shared/receipt/receipt.ts';
import { parsePayload } from '../../shared/signing/signed-statement.ts';
import { LOG_AFTER_MS, type SessionStore } from '../session/session-store.ts';
import { type Bill, billOf } from './bill.ts';

/** What a task costs, for whoever looks at it: micro-credits. */
export interface PriceView {
  readonly unit: 'micro-credit';
  readonly status: 'held' | 'settled';
  readonly held: number;
  readonly charged: number | null;
  readonly returned: number | null;
  readonly per_token: number | null;
  readonly tokens: Bill['tokens'] | null;
  readonly percent: Bill['percent'] | null;
  readonly paid: readonly { readonly role: 'answer' | 'check'; readonly tab: string; readonly amount: number }[];
}

export function heldView(held: number): PriceView {
  const unknown = { charged: null, returned: null, per_token: null, tokens: null, percent: null, paid: [] };
  return { unit: 'micro-credit', status: 'held', held, ...unknown };
}

export function settledView({ held, charged, perToken, tokens, percent, pays }: Bill): PriceView {
  return {
    unit: 'micro-credit',
    status: 'settled',
    held,
    charged,
    returned: held - charged,
    per_token: perToken,
    tokens,
    percent,
    paid: pays.map(({ role, tab, amount }) => ({ role, tab, amount })),
  };
}

/** The price of a question of the network's own, told as anybody's would be at this instant; null for any other task. */
export function ownPrice(store: Pick<SessionStore, 'load' | 'receipt'>, tail: TaskTail, at: number): PriceView | null {
  const task = store.load(tail);
  if (task?.own === undefined) return null;
  const receipt = store.receipt(tail);
  const isSettled = task.phase === 'ended' && receipt !== null && at >= task.endedAt + LOG_AFTER_MS;
  if (!isSettled) return heldView(task.own.amount);
  return settledView(billOf(task, parsePayload('receipt', receiptSchema, receipt), task.own));
}
