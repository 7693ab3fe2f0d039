import * as v from 'valibot';
import { bytes16, key32 } from './fields.ts';

/** One offer, one answer: the session description, signed so that whoever passes it on cannot put itself in between. */
export const signalClaim = v.object({
  v: v.literal(1),
  link: bytes16,
  /** Identity of the receiver. */
  to: key32,
  type: v.picklist(['offer', 'answer']),
  sdp: v.pipe(v.string(), v.maxLength(16_384)),
});
export type SignalClaim = v.InferOutput<typeof signalClaim>;
