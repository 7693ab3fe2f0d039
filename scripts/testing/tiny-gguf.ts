/** A GGUF file as a test wants it: `types` by what JavaScript has, except where a key says otherwise. */
export type TinyMetadata = Readonly<Record<string, string | number | boolean | readonly string[] | readonly number[]>>;

const TYPE = { uint32: 4, int32: 5, bool: 7, string: 8, array: 9 } as const;
const ALIGNMENT = 32;
const F32 = 0;

/** The bytes of a GGUF, version 3, with tensors of float32, each byte of which is `filler`. */
export function tinyGguf(
  metadata: TinyMetadata,
  tensors: readonly { readonly name: string; readonly values: number }[],
  filler = 0,
): Buffer {
  const parts: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(Object.keys(metadata).length)];
  for (const [key, value] of Object.entries(metadata)) parts.push(text(key), ...bytesOf(value));
  let at = 0;
  for (const { name, values } of tensors) {
    parts.push(text(name), u32(1), u64(values), u32(F32), u64(at));
    at += Math.ceil((values * 4) / ALIGNMENT) * ALIGNMENT;
  }
  const head = Buffer.concat(parts);
  const padding = (ALIGNMENT - (head.length % ALIGNMENT)) % ALIGNMENT;
  return Buffer.concat([head, Buffer.alloc(padding), Buffer.alloc(at, filler)]);
}

function bytesOf(value: TinyMetadata[string]): Buffer[] {
  if (typeof value === 'string') return [u32(TYPE.string), text(value)];
  if (typeof value === 'boolean') return [u32(TYPE.bool), Buffer.from([value ? 1 : 0])];
  if (typeof value === 'number') return [u32(TYPE.uint32), u32(value)];
  const isText = typeof value[0] === 'string';
  const items = value.map((item) => (typeof item === 'string' ? text(item) : u32(item)));
  return [u32(TYPE.array), u32(isText ? TYPE.string : TYPE.int32), u64(value.length), ...items];
}

function text(value: string): Buffer {
  return Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** Of a chat model of a few words. */
export const TINY_CHAT: TinyMetadata = {
  'general.architecture': 'llama',
  'general.name': 'Tiny',
  'general.file_type': 0,
  'llama.context_length': 1024,
  'llama.block_count': 2,
  'llama.embedding_length': 64,
  'llama.attention.head_count': 4,
  'llama.attention.head_count_kv': 2,
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.tokens': ['<s>', '</s>', 'hello', 'world'],
  'tokenizer.ggml.token_type': [3, 3, 1, 1],
  'tokenizer.ggml.bos_token_id': 0,
  'tokenizer.ggml.eos_token_id': 1,
  'tokenizer.chat_template': '{% for m in messages %}{{ m.content }}{% endfor %}',
};

/** Of an embedding model. */
export const TINY_EMBED: TinyMetadata = {
  'general.architecture': 'bert',
  'general.name': 'Tiny Embed',
  'general.file_type': 0,
  'bert.context_length': 512,
  'bert.block_count': 2,
  'bert.embedding_length': 48,
  'bert.attention.head_count': 4,
  'bert.pooling_type': 1,
  'tokenizer.ggml.model': 'bert',
  'tokenizer.ggml.tokens': ['[PAD]', '[CLS]', '▁hello'],
  'tokenizer.ggml.token_type': [3, 3, 1],
};

export const TINY_TENSORS = [
  { name: 'token_embd.weight', values: 256 },
  { name: 'output.weight', values: 256 },
];
