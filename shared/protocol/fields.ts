import * as v from 'valibot';

/** Fields that many messages share. */

export { key32 } from '../signing/signed-statement.ts';

/** 16 bytes as base64url. */
export const bytes16 = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{22}$/));

/** The tail that a task's ids share: `task_…`, `rcpt_…` and `chatcmpl-…` name the same task. */
export const taskTail = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{46}$/));
export type TaskTail = v.InferOutput<typeof taskTail>;

/** `cls_…` for an exact class, `cln_…` for one whose tabs write nearly the same: see `classes/class-id.ts`. */
export const classId = v.pipe(v.string(), v.regex(/^cl[sn]_[A-Za-z0-9_-]{22}$/));

export const modelName = v.pipe(
  v.string(),
  v.minLength(1),
  v.maxLength(128),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]*$/),
);

/** Lease numbers index binary packets; they are random, so that a number from before a restart hits nothing. */
export const leaseNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(0xffff_ffff));

export const instant = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(1_000_000_000));

export const base64Url = (maxLength: number) => v.pipe(v.string(), v.maxLength(maxLength), v.regex(/^[A-Za-z0-9_-]*$/));

/** Text for a model. Half a character (a lone surrogate) has no UTF-8, so an engine cannot read it and a digest cannot tell it from another. */
export const unicodeText = v.pipe(
  v.string(),
  v.check((text) => text.isWellFormed(), 'a lone surrogate'),
);

/** Text that a person will read: no control characters, so that a name cannot rewrite a terminal or a log line. */
export const shownText = (maxLength: number) =>
  v.pipe(
    v.string(),
    v.maxLength(maxLength),
    v.check((text) => !hasControlCharacters(text), 'control characters'),
  );

function hasControlCharacters(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x20 || (unit >= 0x7f && unit < 0xa0)) return true;
  }
  return false;
}
