import * as v from 'valibot';
import { classId } from '../protocol/fields.ts';
import { sampling } from '../protocol/lease.ts';

/** Questions with published answers, by which a device finds out by itself whether it computes as its class does. */

export const selfTestQuestion = v.object({
  prompt: v.pipe(v.string(), v.minLength(1), v.maxLength(2_000)),
  sampling,
  /** What every device of the class writes, to the byte. */
  text: v.pipe(v.string(), v.maxLength(8_000)),
});
export type SelfTestQuestion = v.InferOutput<typeof selfTestQuestion>;

/** By class. A class that is not in it has no published answers. */
export const selfTests = v.object({ v: v.literal(1), classes: v.record(classId, v.array(selfTestQuestion)) });
export type SelfTests = v.InferOutput<typeof selfTests>;

export const SELF_TESTS_PATH = '/models/self-tests.json';
