import { type Bytes, concatBytes, EMPTY, fromUtf8, randomBytes, utf8 } from '../bytes.ts';
import { ShoalError } from '../errors.ts';
import { MAX_FRAME_BYTES, PAD_STEP_BYTES } from '../limits.ts';
import type { SecretExporter } from './hpke.ts';

/**
 * Answers travel in frames sealed under keys exported from the HPKE context of the envelope, one key a direction, with a fresh
 * response nonce as in RFC 9458 §4.4: a tab that answers the same envelope twice never uses a key and nonce again.
 * The additional data is direction ‖ sequence ‖ flags, FINAL among them: a frame replayed, reordered, altered or missing is found.
 *
 * Sealed frame:   u32 sequence ‖ u8 flags ‖ response nonce (16 bytes, in frame 0 only) ‖ ciphertext and tag
 * Plain content:  u8 kind ‖ u16 tokens ‖ u32 blocks ‖ 16 bytes of the chain after those blocks ‖ u16 length ‖ payload ‖ zero padding
 */

export type FrameDirection = 'answer' | 'evidence';

const DIRECTION_BYTE = { answer: 1, evidence: 2 } as const;
const FLAG_FINAL = 1;
const HEADER_BYTES = 5;
const RESPONSE_NONCE_BYTES = 16;
const CONTENT_HEADER_BYTES = 1 + 2 + 4 + 16 + 2;
const TAG_BYTES = 16;
const KIND_TEXT = 1;
const KIND_END = 2;

/** Longest payload of one frame, bytes; leaves room for headers, tag and padding. */
export const MAX_FRAME_PAYLOAD_BYTES = MAX_FRAME_BYTES - 256;

export interface FrameContent {
  readonly kind: 'text' | 'end';
  /** Tokens that this frame adds. */
  readonly tokens: number;
  /** Complete blocks of the digest chain so far, and the first 16 bytes of the chain after them. */
  readonly blocks: number;
  readonly chain: Bytes;
  readonly payload: Bytes;
}

async function deriveKey(exporter: SecretExporter, direction: FrameDirection, responseNonce: Bytes) {
  const secret = await exporter.exportSecret(`shoal/${direction}/v1`, 32);
  const base = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveBits']);
  const bits = await crypto.subtle.deriveBits(
    { name: 'HKDF', hash: 'SHA-256', salt: responseNonce, info: utf8('shoal/frame/v1') },
    base,
    (16 + 12) * 8,
  );
  const derived = new Uint8Array(bits);
  const key = await crypto.subtle.importKey('raw', derived.slice(0, 16), 'AES-GCM', false, ['encrypt', 'decrypt']);
  return { key, nonceBase: derived.slice(16) };
}

function frameNonce(base: Bytes, sequence: number): Bytes {
  const nonce = base.slice();
  const view = new DataView(nonce.buffer);
  view.setUint32(8, view.getUint32(8) ^ sequence);
  return nonce;
}

function frameHeader(sequence: number, flags: number): Bytes {
  const header = new Uint8Array(HEADER_BYTES);
  new DataView(header.buffer).setUint32(0, sequence);
  header[4] = flags;
  return header;
}

function additionalData(direction: FrameDirection, header: Uint8Array): Bytes {
  return concatBytes(new Uint8Array([DIRECTION_BYTE[direction]]), header);
}

function encodeContent(content: FrameContent, pad: boolean): Bytes {
  const length = CONTENT_HEADER_BYTES + content.payload.byteLength;
  const padded = pad ? Math.ceil(length / PAD_STEP_BYTES) * PAD_STEP_BYTES : length;
  const plain = new Uint8Array(padded);
  const view = new DataView(plain.buffer);
  view.setUint8(0, content.kind === 'end' ? KIND_END : KIND_TEXT);
  view.setUint16(1, content.tokens);
  view.setUint32(3, content.blocks);
  plain.set(content.chain.subarray(0, 16), 7);
  view.setUint16(23, content.payload.byteLength);
  plain.set(content.payload, CONTENT_HEADER_BYTES);
  return plain;
}

function decodeContent(plain: Bytes): FrameContent {
  if (plain.byteLength < CONTENT_HEADER_BYTES) throw broken('it is too short');
  const view = new DataView(plain.buffer, plain.byteOffset, plain.byteLength);
  const kind = view.getUint8(0);
  const length = view.getUint16(23);
  if (kind !== KIND_TEXT && kind !== KIND_END) throw broken('its kind is unknown');
  if (CONTENT_HEADER_BYTES + length > plain.byteLength) throw broken('its length is wrong');
  return {
    kind: kind === KIND_END ? 'end' : 'text',
    tokens: view.getUint16(1),
    blocks: view.getUint32(3),
    chain: plain.slice(7, 23),
    payload: plain.slice(CONTENT_HEADER_BYTES, CONTENT_HEADER_BYTES + length),
  };
}

function broken(why: string): ShoalError {
  return new ShoalError('integrity_failed', `A frame of the answer was refused: ${why}.`);
}

/** Seals one direction of one subtask, frame after frame. */
export class FrameSealer {
  readonly #direction: FrameDirection;
  readonly #pad: boolean;
  readonly #responseNonce = randomBytes(RESPONSE_NONCE_BYTES);
  readonly #derived: ReturnType<typeof deriveKey>;
  #sequence = 0;

  constructor(exporter: SecretExporter, direction: FrameDirection, options: { readonly pad: boolean }) {
    this.#direction = direction;
    this.#pad = options.pad;
    this.#derived = deriveKey(exporter, direction, this.#responseNonce);
  }

  async seal(content: FrameContent, final: boolean): Promise<Bytes> {
    const sequence = this.#sequence++;
    const { key, nonceBase } = await this.#derived;
    const header = frameHeader(sequence, final ? FLAG_FINAL : 0);
    const ciphertext = await crypto.subtle.encrypt(
      {
        name: 'AES-GCM',
        iv: frameNonce(nonceBase, sequence),
        additionalData: additionalData(this.#direction, header),
      },
      key,
      encodeContent(content, this.#pad),
    );
    const nonce = sequence === 0 ? this.#responseNonce : EMPTY;
    return concatBytes(header, nonce, new Uint8Array(ciphertext));
  }
}

/** Sequence number and final flag of a sealed frame: all that a relay may know of it. */
export function peekFrame(frame: Uint8Array): { sequence: number; final: boolean } {
  if (frame.byteLength < HEADER_BYTES || frame.byteLength > MAX_FRAME_BYTES) throw broken('its size is out of bounds');
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  return { sequence: view.getUint32(0), final: (view.getUint8(4) & FLAG_FINAL) !== 0 };
}

/** Whether a frame that is not padded can hold text, or ends its answer: all that a relay can tell of it from its length. */
export function saysSomething(frame: Uint8Array): boolean {
  const { sequence, final } = peekFrame(frame);
  const empty = HEADER_BYTES + (sequence === 0 ? RESPONSE_NONCE_BYTES : 0) + CONTENT_HEADER_BYTES + TAG_BYTES;
  return final || frame.byteLength > empty;
}

/** Opens one direction of one subtask. Frames must come in order of their sequence; see {@link FrameOrder}. */
export class FrameOpener {
  readonly #exporter: SecretExporter;
  readonly #direction: FrameDirection;
  #derived: ReturnType<typeof deriveKey> | null = null;
  #expected = 0;
  #finished = false;

  constructor(exporter: SecretExporter, direction: FrameDirection) {
    this.#exporter = exporter;
    this.#direction = direction;
  }

  get finished(): boolean {
    return this.#finished;
  }

  async open(frame: Bytes): Promise<{ content: FrameContent; final: boolean }> {
    const { sequence, final } = peekFrame(frame);
    if (this.#finished) throw broken('it comes after the final one');
    if (sequence !== this.#expected) throw broken(`number ${sequence} came where ${this.#expected} was due`);
    this.#expected++;
    const start = HEADER_BYTES + (sequence === 0 ? RESPONSE_NONCE_BYTES : 0);
    if (sequence === 0) {
      this.#derived = deriveKey(this.#exporter, this.#direction, frame.slice(HEADER_BYTES, start));
    }
    if (this.#derived === null) throw broken('the first one is missing');
    const { key, nonceBase } = await this.#derived;
    let plain: ArrayBuffer;
    try {
      plain = await crypto.subtle.decrypt(
        {
          name: 'AES-GCM',
          iv: frameNonce(nonceBase, sequence),
          additionalData: additionalData(this.#direction, frame.subarray(0, HEADER_BYTES)),
        },
        key,
        frame.subarray(start),
      );
    } catch {
      throw broken('its seal does not hold');
    }
    const content = decodeContent(new Uint8Array(plain));
    if (final !== (content.kind === 'end')) throw broken('its final flag and its content disagree');
    if (!final && content.payload.byteLength === 0) throw broken('it says nothing');
    this.#finished = final;
    return { content, final };
  }
}

/**
 * Puts frames from two paths back into one order: each number is let through once, early ones wait, late copies are dropped.
 * At most `limit` frames wait, so that a tab cannot fill a client's memory with frames of the far future.
 */
export class FrameOrder {
  readonly #limit: number;
  readonly #early = new Map<number, Bytes>();
  #next = 0;

  constructor(limit = 512) {
    this.#limit = limit;
  }

  /** The number of the frame that is due next. */
  get next(): number {
    return this.#next;
  }

  /** Takes a frame, returns those that are now in order. */
  push(frame: Bytes): Bytes[] {
    const { sequence } = peekFrame(frame);
    if (sequence < this.#next) return [];
    if (sequence >= this.#next + this.#limit) throw broken('it is too far ahead');
    this.#early.set(sequence, frame);
    const ready: Bytes[] = [];
    for (let due = this.#early.get(this.#next); due !== undefined; due = this.#early.get(this.#next)) {
      this.#early.delete(this.#next);
      this.#next++;
      ready.push(due);
    }
    return ready;
  }
}

export function textOf(content: FrameContent): string {
  try {
    return fromUtf8(content.payload);
  } catch {
    throw broken('its text is not UTF-8');
  }
}
