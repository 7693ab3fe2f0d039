import * as z from 'zod/mini';

// A strict content-security-policy forbids the code generation that zod would otherwise use to go faster.
z.config({ jitless: true });

/** Fields that many messages share. */

export { key32 } from '../signing/signed-statement.ts';

/** 16 bytes as base64url. */
export const bytes16 = z.string().check(z.regex(/^[A-Za-z0-9_-]{22}$/));

/** The tail that a task's ids share: `task_…`, `rcpt_…` and `chatcmpl-…` name the same task. */
export const taskTail = z.string().check(z.regex(/^[A-Za-z0-9_-]{46}$/));
export type TaskTail = z.infer<typeof taskTail>;

export const classId = z.string().check(z.regex(/^cls_[A-Za-z0-9_-]{22}$/));

export const modelName = z.string().check(z.minLength(1), z.maxLength(128), z.regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]*$/));

/** Lease numbers index binary packets; they are random, so that a number from before a restart hits nothing. */
export const leaseNumber = z.int().check(z.minimum(1), z.maximum(0xffff_ffff));

export const instant = z.int().check(z.minimum(0));

export const count = z.int().check(z.minimum(0), z.maximum(1_000_000_000));

export const base64Url = (maxLength: number) => z.string().check(z.maxLength(maxLength), z.regex(/^[A-Za-z0-9_-]*$/));

/** Text that a person will read: no control characters, so that a name cannot rewrite a terminal or a log line. */
export const shownText = (maxLength: number) =>
  z.string().check(
    z.maxLength(maxLength),
    z.refine((text) => !hasControlCharacters(text), 'control characters are not allowed'),
  );

function hasControlCharacters(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x20 || (unit >= 0x7f && unit < 0xa0)) return true;
  }
  return false;
}
