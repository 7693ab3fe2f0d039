import { createWriteStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { CommandError } from '../command-line.ts';

/**
 * Joins the parts of a split GGUF (llama.cpp's `gguf-split`) to the one file that they were: metadata of the first without what says that it is a part, the tensors of all, and their
 * data. Nothing but places is changed. Format: ggml's `docs/gguf.md`, version 3.
 */

const MAGIC = 0x46554747; // "GGUF", little endian.
const VERSION = 3;
const DEFAULT_ALIGNMENT = 32;
/** Bytes of a value by its type; strings and arrays have their own length. */
const VALUE_BYTES: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};
const STRING = 8;
const ARRAY = 9;
const UINT32 = 4;
/** Of a header, bytes: vocabularies of a quarter of a million words take less than a tenth. */
const MOST_HEADER_BYTES = 256 * 1024 * 1024;

interface Pair {
  readonly key: string;
  /** Key, type and value as they lie in the file. */
  readonly bytes: Buffer;
}

interface Tensor {
  /** Name, dimensions and type as they lie in the file. */
  readonly description: Buffer;
  readonly offset: number;
}

interface Part {
  readonly file: string;
  readonly pairs: readonly Pair[];
  readonly tensors: readonly Tensor[];
  readonly alignment: number;
  readonly dataAt: number;
  readonly dataBytes: number;
}

/** Writes the whole to `into`. Throws {@link CommandError} when a part is no GGUF, or the parts do not belong together. */
export async function joinGguf(files: readonly string[], into: string): Promise<void> {
  const parts = await Promise.all(files.map(readPart));
  const [first] = parts;
  if (first === undefined) throw new CommandError('There is no file.');
  const { alignment } = first;
  if (parts.some((part) => part.alignment !== alignment)) {
    throw new CommandError(
      `${basename(first.file)} and its other parts are aligned differently: they are not of one model.`,
    );
  }
  const pairs = first.pairs.filter(({ key }) => !key.startsWith('split.'));
  let before = 0;
  const tensors = parts.flatMap((part) => {
    const start = before;
    before += aligned(part.dataBytes, alignment);
    return part.tensors.map(({ description, offset }) => Buffer.concat([description, u64(start + offset)]));
  });
  const head = Buffer.alloc(24);
  head.writeUInt32LE(MAGIC, 0);
  head.writeUInt32LE(VERSION, 4);
  head.writeBigUInt64LE(BigInt(tensors.length), 8);
  head.writeBigUInt64LE(BigInt(pairs.length), 16);
  const header = Buffer.concat([head, ...pairs.map(({ bytes }) => bytes), ...tensors]);

  async function* content(): AsyncGenerator<Buffer> {
    yield header;
    yield Buffer.alloc(aligned(header.length, alignment) - header.length);
    for (const part of parts) {
      const handle = await open(part.file);
      yield* handle.createReadStream({ start: part.dataAt });
      yield Buffer.alloc(aligned(part.dataBytes, alignment) - part.dataBytes);
    }
  }
  await pipeline(content, createWriteStream(into));
}

async function readPart(file: string): Promise<Part> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const reader = new HeaderReader(handle, Math.min(size, MOST_HEADER_BYTES), basename(file));
    if ((await reader.u32()) !== MAGIC || (await reader.u32()) !== VERSION) {
      throw new CommandError(`${basename(file)} is no GGUF of version ${VERSION}.`);
    }
    const tensorCount = await reader.count();
    const pairCount = await reader.count();
    const pairs: Pair[] = [];
    let alignment = DEFAULT_ALIGNMENT;
    for (let i = 0; i < pairCount; i++) {
      const from = reader.at;
      const key = (await reader.text()).toString();
      const type = await reader.u32();
      const valueAt = reader.at;
      await reader.skipValue(type);
      if (key === 'general.alignment' && type === UINT32) alignment = reader.slice(valueAt).readUInt32LE();
      pairs.push({ key, bytes: Buffer.from(reader.slice(from)) });
    }
    if (alignment < 1 || alignment > 65_536) throw reader.malformed();
    const tensors: Tensor[] = [];
    for (let i = 0; i < tensorCount; i++) {
      const from = reader.at;
      await reader.text();
      const dimensions = await reader.u32();
      if (dimensions > 4) throw reader.malformed();
      await reader.skip(dimensions * 8 + 4);
      const description = Buffer.from(reader.slice(from));
      tensors.push({ description, offset: await reader.count() });
    }
    const dataAt = aligned(reader.at, alignment);
    if (dataAt > size) throw reader.malformed();
    return { file, pairs, tensors, alignment, dataAt, dataBytes: size - dataAt };
  } finally {
    await handle.close();
  }
}

/** Walks a header, which is read as far as it goes; no claim of the file makes room for more than the file has. */
class HeaderReader {
  readonly #handle: FileHandle;
  readonly #size: number;
  readonly #name: string;
  #known = Buffer.alloc(0);
  at = 0;

  constructor(handle: FileHandle, size: number, name: string) {
    this.#handle = handle;
    this.#size = size;
    this.#name = name;
  }

  malformed(): CommandError {
    return new CommandError(
      `${this.#name} is not a readable GGUF file: its header ends before it is over, or is too long.`,
    );
  }

  async u32(): Promise<number> {
    const from = this.at;
    await this.skip(4);
    return this.#known.readUInt32LE(from);
  }

  async count(): Promise<number> {
    const from = this.at;
    await this.skip(8);
    const value = this.#known.readBigUInt64LE(from);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.malformed();
    return Number(value);
  }

  async text(): Promise<Buffer> {
    const length = await this.count();
    const from = this.at;
    await this.skip(length);
    return this.slice(from);
  }

  async skipValue(type: number): Promise<void> {
    const bytes = VALUE_BYTES[type];
    if (bytes !== undefined) return this.skip(bytes);
    if (type === STRING) {
      await this.text();
      return;
    }
    if (type !== ARRAY) throw this.malformed();
    const itemType = await this.u32();
    const count = await this.count();
    const itemBytes = VALUE_BYTES[itemType];
    if (itemBytes !== undefined) return this.skip(itemBytes * count);
    if (itemType !== STRING) throw this.malformed(); // Arrays of arrays are allowed and used by nobody.
    for (let i = 0; i < count; i++) await this.text();
  }

  async skip(bytes: number): Promise<void> {
    const end = this.at + bytes;
    if (end > this.#size) throw this.malformed();
    while (this.#known.length < end) {
      const more = Buffer.alloc(Math.min(Math.max(this.#known.length, 1024 * 1024), this.#size - this.#known.length));
      const { bytesRead } = await this.#handle.read(more, 0, more.length, this.#known.length);
      if (bytesRead === 0) throw this.malformed();
      this.#known = Buffer.concat([this.#known, more.subarray(0, bytesRead)]);
    }
    this.at = end;
  }

  /** From there to here. */
  slice(from: number): Buffer {
    return this.#known.subarray(from, this.at);
  }
}

function aligned(bytes: number, alignment: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
