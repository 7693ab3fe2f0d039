import * as v from 'valibot';
import type { Bytes } from '../bytes.ts';
import { cosine } from '../checking/similarity.ts';
import { vectorFromText } from '../receipt/statements.ts';
import { FrameOpener, textOf } from '../sealing/frames.ts';
import type { SecretExporter } from '../sealing/hpke.ts';

/** What a checker tells the client of a private task, sealed. */
export const checkEvidence = v.object({
  /** Sentence embedding of the checker's own answer, and of the first answer as it was shown. */
  own: v.string(),
  shown: v.nullable(v.string()),
});

/** The cosine of a checker's evidence; null where the embedding cannot say. Throws when the evidence does not open. */
export async function similarityIn(frame: Bytes, exporter: SecretExporter): Promise<number | null> {
  const { content } = await new FrameOpener(exporter, 'evidence').open(frame);
  const { own, shown } = v.parse(checkEvidence, JSON.parse(textOf(content)));
  return shown === null ? null : cosine(vectorFromText(own), vectorFromText(shown));
}
