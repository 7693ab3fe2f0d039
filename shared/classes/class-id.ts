import * as v from 'valibot';
import { sha256, toBase64Url, utf8 } from '../bytes.ts';

/**
 * What determines an answer's bytes, beside prompt and sampling. Two tabs of one exact class write the same answer to the bit; figures and
 * conditions: the model's page in `docs/exactness.md`. Threads and batch size are absent because they were measured not to matter
 * with flash attention off. With it on they do, and on a graphics processor driver and device do too: such a class is a near one, whose tabs write almost
 * the same.
 */
export const classTraits = v.strictObject({
  /** SHA-256 of the weights, hex: of all their files, the model library of an MLC model among them. */
  weights: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  /** Engine package and version. */
  engine: v.string(),
  /** SHA-256 of the engine's build, hex: WebAssembly of wllama, the bundle of web-llm. */
  engineBuild: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  backend: v.picklist(['cpu', 'webgpu']),
  flashAttention: v.boolean(),
  kvType: v.picklist(['f16', 'f32']),
  contextTokens: v.pipe(v.number(), v.safeInteger()),
  /** SHA-256, hex, of all that the catalogue says of a prompt's form: template, first and last token, control tokens. And the version of our renderer. */
  template: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  renderer: v.literal(1),
  /** Version of the order of samplers that the engine adapter sends. */
  samplers: v.literal(1),
});
export type ClassTraits = v.InferOutput<typeof classTraits>;

/** Whether two tabs with these traits write the same bytes. */
function isExact({ backend, flashAttention }: ClassTraits): boolean {
  return backend === 'cpu' && !flashAttention;
}

const EXACT = 'cls_';
const NEAR = 'cln_';

/** Whether answers of this class can be run again to the byte: its id says so, so that whoever reads a receipt needs nothing else. */
export function isExactClass(classId: string): boolean {
  return classId.startsWith(EXACT);
}

/** `cls_` or, for a near class, `cln_`, and the first 16 bytes of the SHA-256 of the traits in a fixed order. */
export async function classIdOf(traits: ClassTraits): Promise<string> {
  const ordered = [
    traits.weights,
    traits.engine,
    traits.engineBuild,
    traits.backend,
    traits.flashAttention,
    traits.kvType,
    traits.contextTokens,
    traits.template,
    traits.renderer,
    traits.samplers,
  ];
  const digest = await sha256(utf8(`shoal/class/v1\n${JSON.stringify(ordered)}`));
  return `${isExact(traits) ? EXACT : NEAR}${toBase64Url(digest.subarray(0, 16))}`;
}
