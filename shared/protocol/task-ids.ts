import * as v from 'valibot';
import { ShoalError } from '../errors.ts';
import { type TaskTail, taskTail } from './fields.ts';

/** One task, three public names: as a task, as its receipt, as OpenAI's completion id. They share their tail. */
export const taskId = (tail: TaskTail) => `task_${tail}`;
export const receiptId = (tail: TaskTail) => `rcpt_${tail}`;
export const completionId = (tail: TaskTail) => `chatcmpl-${tail}`;

const PREFIX = /^(?:task_|rcpt_|chatcmpl-)/;

/** Accepts any of the three names. Throws `task_not_found`. */
export function tailOf(id: string): TaskTail {
  const parsed = v.safeParse(taskTail, id.replace(PREFIX, ''));
  if (!parsed.success || !PREFIX.test(id)) throw new ShoalError('task_not_found', 'There is no task with this id.');
  return parsed.output;
}
