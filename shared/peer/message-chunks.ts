import { type Bytes, concatBytes, EMPTY } from '../bytes.ts';
import { ShoalError } from '../errors.ts';
import { LINK_CHUNK_BYTES } from '../limits.ts';
import { MAX_PACKET_BYTES } from '../protocol/packets.ts';

/** A message as chunks that every browser's data channel takes: u32 length ‖ message, cut. */
export function chunksOf(message: Uint8Array): Bytes[] {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, message.byteLength);
  const whole = concatBytes(length, message);
  const chunks: Bytes[] = [];
  for (let at = 0; at < whole.byteLength; at += LINK_CHUNK_BYTES)
    chunks.push(whole.subarray(at, at + LINK_CHUNK_BYTES));
  return chunks;
}

/** Puts chunks back together. Throws `integrity_failed` when a message would be larger than any packet. */
export class MessageAssembler {
  #pending: Bytes = EMPTY;

  push(chunk: Uint8Array): Bytes[] {
    this.#pending = concatBytes(this.#pending, chunk);
    const messages: Bytes[] = [];
    while (this.#pending.byteLength >= 4) {
      const length = new DataView(this.#pending.buffer, this.#pending.byteOffset).getUint32(0);
      if (length > MAX_PACKET_BYTES)
        throw new ShoalError('integrity_failed', 'A message on a direct link is too long.');
      if (this.#pending.byteLength < 4 + length) break;
      messages.push(this.#pending.slice(4, 4 + length));
      this.#pending = this.#pending.slice(4 + length);
    }
    return messages;
  }
}
