import { CommandError } from '../command-line.ts';

/**
 * The same weights in another container: every Q8_0 matrix of a GGUF written out as float32. An engine computes with them in another way, as a GPU would, but
 * they are the same numbers. Format: llama.cpp's `gguf.md`, version 3, little endian; a Q8_0 block is a float16 scale and 32 signed bytes.
 */
export function dequantized(file: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const reader = new Reader(file);
  if (reader.u32() !== 0x4655_4747 || reader.u32() !== 3) throw new CommandError('This is no GGUF of version 3.');
  const tensorCount = reader.u64();
  const pairs = reader.u64();
  for (let i = 0; i < pairs; i++) {
    reader.text();
    reader.skipValue(reader.u32());
  }
  const head = file.slice(0, reader.at);
  const tensors = Array.from({ length: tensorCount }, () => {
    const name = reader.text();
    const dimensions = Array.from({ length: reader.u32() }, () => reader.u64());
    return { name, dimensions, type: reader.u32(), offset: reader.u64() };
  });
  const data = aligned(reader.at);

  const infos: Uint8Array[] = [];
  const bodies: Uint8Array[] = [];
  let offset = 0;
  for (const { name, dimensions, type, offset: from } of tensors) {
    const numbers = dimensions.reduce((product, size) => product * size, 1);
    if (type !== Q8_0 && type !== F32) throw new CommandError(`Tensor ${name} is neither Q8_0 nor F32.`);
    const start = data + from;
    const body = type === F32 ? file.slice(start, start + numbers * 4) : fromQ8(file, start, numbers);
    infos.push(tensorInfo(name, dimensions, offset));
    bodies.push(body, new Uint8Array(aligned(body.byteLength) - body.byteLength));
    offset = aligned(offset + body.byteLength);
  }
  const infoBytes = infos.reduce((sum, { byteLength }) => sum + byteLength, head.byteLength);
  return joined([head, ...infos, new Uint8Array(aligned(infoBytes) - infoBytes), ...bodies]);
}

const F32 = 0;
const Q8_0 = 8;
const BLOCK_NUMBERS = 32;
const BLOCK_BYTES = 34;
const ALIGNMENT = 32; // GGUF's default; the embedded models do not set another.

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function fromQ8(file: Uint8Array<ArrayBuffer>, start: number, numbers: number): Uint8Array {
  const view = new DataView(file.buffer, file.byteOffset);
  const out = new DataView(new ArrayBuffer(numbers * 4));
  for (let i = 0; i < numbers; i++) {
    const block = start + Math.floor(i / BLOCK_NUMBERS) * BLOCK_BYTES;
    const scale = float16(view.getUint16(block, true));
    out.setFloat32(i * 4, scale * view.getInt8(block + 2 + (i % BLOCK_NUMBERS)), true);
  }
  return new Uint8Array(out.buffer);
}

/** IEEE 754 half precision; scales are finite. */
function float16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function tensorInfo(name: string, dimensions: readonly number[], offset: number): Uint8Array {
  const label = new TextEncoder().encode(name);
  const view = new DataView(new ArrayBuffer(8 + label.byteLength + 4 + dimensions.length * 8 + 4 + 8));
  view.setBigUint64(0, BigInt(label.byteLength), true);
  new Uint8Array(view.buffer).set(label, 8);
  let at = 8 + label.byteLength;
  view.setUint32(at, dimensions.length, true);
  at += 4;
  for (const size of dimensions) {
    view.setBigUint64(at, BigInt(size), true);
    at += 8;
  }
  view.setUint32(at, F32, true);
  view.setBigUint64(at + 4, BigInt(offset), true);
  return new Uint8Array(view.buffer);
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}

/** Bytes of GGUF's scalar value types, by number; 8 is a string and 9 an array. */
const SCALAR_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

class Reader {
  readonly #view: DataView;
  at = 0;

  constructor(file: Uint8Array<ArrayBuffer>) {
    this.#view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  }

  u32(): number {
    this.at += 4;
    return this.#view.getUint32(this.at - 4, true);
  }

  u64(): number {
    this.at += 8;
    return Number(this.#view.getBigUint64(this.at - 8, true));
  }

  text(): string {
    const length = this.u64();
    const bytes = new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.at, length);
    this.at += length;
    return new TextDecoder().decode(bytes);
  }

  skipValue(type: number): void {
    if (type === 8) {
      this.text();
    } else if (type === 9) {
      const items = this.u32();
      for (let left = this.u64(); left > 0; left--) this.skipValue(items);
    } else {
      const bytes = SCALAR_BYTES[type];
      if (bytes === undefined) throw new CommandError(`Value type ${type} is unknown.`);
      this.at += bytes;
    }
  }
}
