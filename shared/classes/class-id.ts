import * as z from 'zod/mini';
import { sha256, toBase64Url, utf8 } from '../bytes.ts';

/**
 * What determines an answer's bytes, beside prompt and sampling. Two tabs of one exact class write the same answer to the bit; figures and
 * conditions: the model's page in `docs/exactness.md`. Threads and batch size are absent because they were measured not to matter
 * with flash attention off.
 */
export const classTraits = z.strictObject({
  /** SHA-256 of the weights file, hex. */
  weights: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  /** Engine package and version. */
  engine: z.string(),
  /** SHA-256 of the engine's WebAssembly build, hex. */
  engineBuild: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  backend: z.enum(['cpu']),
  flashAttention: z.boolean(),
  kvType: z.enum(['f16']),
  contextTokens: z.int(),
  /** SHA-256 of the chat template's text, hex, and the version of our renderer. */
  template: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  renderer: z.literal(1),
  /** Version of the order of samplers that the engine adapter sends. */
  samplers: z.literal(1),
});
export type ClassTraits = z.infer<typeof classTraits>;

/** `cls_` and the first 16 bytes of the SHA-256 of the traits in a fixed order. */
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
  return `cls_${toBase64Url(digest.subarray(0, 16))}`;
}
