import * as v from 'valibot';
import { type Bytes, concatBytes, EMPTY, fromUtf8, toBytes, utf8 } from '../bytes.ts';
import { verdict } from '../checking/verdict.ts';
import { ShoalError } from '../errors.ts';
import { MAX_CONTROL_MESSAGE_BYTES, MAX_FRAME_BYTES } from '../limits.ts';
import { signed } from '../signing/signed-statement.ts';
import { base64Url, count, key32, leaseNumber, shownText } from './fields.ts';

/**
 * The stream of one task, from the pool to whoever sealed it: the Worker for plain HTTP clients, the page for private ones. The Worker hands
 * a private stream on untouched.
 *
 *   u8 type (1 event, 2 frame) ‖ u32 length ‖ payload
 *
 * A union and not a variant, here and in the verdict: pages load these schemas, and the other one is half a kilobyte of code more.
 */
export const streamEvent = v.union([
  /** It waits for a tab; so many requests are before this one, and its first token is to be expected in so many ms. Told again when that changes. */
  v.object({ t: v.literal('waiting'), ahead: count, etaMs: count }),
  /**
   * Seal to this key and send the envelope. `strict`: nothing of the answer is to be shown before it is valid. `beside`: the first token of the tab before is
   * late, and this one writes, too; the same lease told again without it has won, and the frames that follow are its own. Any other second lease is of a tab
   * that takes the place of a lost one, and writes the answer again from its first word.
   */
  v.object({
    t: v.literal('leased'),
    lease: signed,
    tabKey: signed,
    token: base64Url(64),
    direct: v.boolean(),
    strict: v.boolean(),
    beside: v.boolean(),
  }),
  v.object({ t: v.literal('accepted'), promptTokens: count }),
  v.object({
    t: v.literal('failed'),
    error: v.object({
      code: shownText(64),
      message: v.pipe(v.string(), v.maxLength(2000)),
      param: v.nullable(v.pipe(v.string(), v.maxLength(200))),
      retry_after_ms: v.nullable(count),
    }),
  }),
  /** The answering tab's signed commit. */
  v.object({ t: v.literal('committed'), commit: signed }),
  /**
   * A checker was drawn: wrap the body key for it. `tab`: send the wrap, the answering tab hands the sealed body on. `client`: that tab
   * is gone or did not do it; send the whole envelope.
   */
  v.object({ t: v.literal('drawn'), lease: signed, tabKey: signed, handOnBy: v.picklist(['tab', 'client']) }),
  /** From the checker to the client of a private task, sealed: its similarity figures. */
  v.object({ t: v.literal('evidence'), number: leaseNumber, checker: key32, frame: base64Url(MAX_FRAME_BYTES * 2) }),
  /** The end: a verdict and the receipt. */
  v.object({ t: v.literal('ended'), verdict, receipt: v.nullable(signed) }),
]);
export type StreamEvent = v.InferOutput<typeof streamEvent>;

export type StreamRecord = { readonly event: StreamEvent } | { readonly frame: Bytes };

const TYPE_EVENT = 1;
const TYPE_FRAME = 2;
const HEADER_BYTES = 5;
const MAX_RECORD_BYTES = 16 * MAX_CONTROL_MESSAGE_BYTES;

function record(type: number, payload: Uint8Array): Bytes {
  const header = new Uint8Array(HEADER_BYTES);
  header[0] = type;
  new DataView(header.buffer).setUint32(1, payload.byteLength);
  return concatBytes(header, payload);
}

export function encodeEvent(event: StreamEvent): Bytes {
  return record(TYPE_EVENT, utf8(JSON.stringify(event)));
}

export function encodeFrameRecord(frame: Uint8Array): Bytes {
  return record(TYPE_FRAME, frame);
}

/**
 * The record of a frame that came as a packet. Both have a header of five bytes, so the packet's own bytes become the record, and nothing is
 * copied: the packet must not be used afterwards.
 */
export function packetToFrameRecord(packet: Bytes): Bytes {
  packet[0] = TYPE_FRAME;
  new DataView(packet.buffer, packet.byteOffset).setUint32(1, packet.byteLength - HEADER_BYTES);
  return packet;
}

function malformed(): ShoalError {
  return new ShoalError('integrity_failed', 'The stream of the task is not of the agreed shape.');
}

/** Cuts a byte stream into records, whatever the borders of its chunks. */
export class RecordReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #pending: Bytes = EMPTY;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** The next record, or `null` at a clean end. Throws `integrity_failed` on malformed bytes, and what the stream throws. */
  async next(): Promise<StreamRecord | null> {
    if (!(await this.#fill(HEADER_BYTES))) return null;
    const length = new DataView(this.#pending.buffer, this.#pending.byteOffset).getUint32(1);
    if (length > MAX_RECORD_BYTES) throw malformed();
    if (!(await this.#fill(HEADER_BYTES + length))) throw malformed();
    const type = this.#pending[0];
    const payload = this.#pending.subarray(HEADER_BYTES, HEADER_BYTES + length);
    this.#pending = this.#pending.subarray(HEADER_BYTES + length);
    if (type === TYPE_FRAME) return { frame: payload };
    if (type !== TYPE_EVENT) throw malformed();
    let value: unknown;
    try {
      value = JSON.parse(fromUtf8(payload));
    } catch {
      throw malformed();
    }
    const parsed = v.safeParse(streamEvent, value);
    if (!parsed.success) throw malformed();
    return { event: parsed.output };
  }

  async cancel(reason?: unknown): Promise<void> {
    await this.#reader.cancel(reason).catch(() => undefined);
  }

  async #fill(length: number): Promise<boolean> {
    while (this.#pending.byteLength < length) {
      const { done, value } = await this.#reader.read();
      if (done) {
        if (this.#pending.byteLength > 0) throw malformed();
        return false;
      }
      this.#pending = this.#pending.byteLength === 0 ? toBytes(value) : concatBytes(this.#pending, value);
    }
    return true;
  }
}
