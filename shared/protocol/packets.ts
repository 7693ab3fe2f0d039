import { type Bytes, concatBytes, toBytes } from '../bytes.ts';
import { ShoalError } from '../errors.ts';
import { MAX_ENVELOPE_BYTES } from '../limits.ts';

/**
 * Binary packets, the same on a tab's socket and on a direct link:
 *
 *   u8 kind ‖ u32 lease number ‖ payload
 *
 * `envelope`  a sealed subtask          to the tab that the lease names, by router, client or another tab
 * `frame`     a sealed frame            from the tab that answers
 * `shown`     the first answer, sealed  from the tab that answered to the tab that checks
 * `stop`      nothing                   from a client, over a direct link: stop generating
 */
const KINDS = ['envelope', 'frame', 'shown', 'stop'] as const;
export type PacketKind = (typeof KINDS)[number];

export interface Packet {
  readonly kind: PacketKind;
  readonly number: number;
  readonly payload: Bytes;
  /** Header and payload. */
  readonly whole: Bytes;
}

export const PACKET_HEADER_BYTES = 5;
export const MAX_PACKET_BYTES = MAX_ENVELOPE_BYTES + PACKET_HEADER_BYTES;

export function encodePacket(kind: PacketKind, number: number, payload: Uint8Array): Bytes {
  const header = new Uint8Array(PACKET_HEADER_BYTES);
  header[0] = KINDS.indexOf(kind) + 1;
  new DataView(header.buffer).setUint32(1, number);
  return concatBytes(header, payload);
}

/** Throws `integrity_failed` on an unknown kind or a wrong size. The payload is a view, not a copy. */
export function decodePacket(data: ArrayBuffer | Uint8Array): Packet {
  const bytes = toBytes(data);
  const kind = KINDS[(bytes[0] ?? 0) - 1];
  if (kind === undefined || bytes.byteLength < PACKET_HEADER_BYTES || bytes.byteLength > MAX_PACKET_BYTES) {
    throw new ShoalError('integrity_failed', 'A packet is not of the agreed shape.');
  }
  const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  return { kind, number, payload: bytes.subarray(PACKET_HEADER_BYTES), whole: bytes };
}
