import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { VariantEntry } from '../../shared/classes/catalogue.ts';
import { MODEL_PIECE_BYTES } from '../../shared/limits.ts';

/**
 * Digests of files, one after the other, and of their pieces; none straddles the border of two files. With `into`, the pieces are written there too, in a folder named by the
 * digest of the whole.
 */
export async function cutIntoPieces(
  files: readonly string[],
  into: string | null,
): Promise<Pick<VariantEntry['weights'], 'sha256' | 'bytes' | 'pieces'>> {
  const whole = createHash('sha256');
  const pieces: { sha256: string; bytes: number }[] = [];
  const staging = into === null ? null : join(into, `partial-${process.pid}`);
  if (staging !== null) await mkdir(staging, { recursive: true });
  try {
    for (const file of files) {
      const { size } = await stat(file);
      for (let at = 0; at < size; at += MODEL_PIECE_BYTES) {
        const piece = createHash('sha256');
        let bytes = 0;
        const out =
          staging === null ? null : createWriteStream(join(staging, `${String(pieces.length).padStart(4, '0')}.bin`));
        for await (const chunk of createReadStream(file, { start: at, end: at + MODEL_PIECE_BYTES - 1 })) {
          whole.update(chunk);
          piece.update(chunk);
          bytes += chunk.length;
          if (out !== null && !out.write(chunk)) await once(out, 'drain');
        }
        if (out !== null) {
          out.end();
          await once(out, 'finish');
        }
        pieces.push({ sha256: piece.digest('hex'), bytes });
      }
    }
    const sha256 = whole.digest('hex');
    if (staging !== null && into !== null) {
      await rm(join(into, sha256), { recursive: true, force: true });
      await rename(staging, join(into, sha256));
    }
    return { sha256, bytes: pieces.reduce((sum, piece) => sum + piece.bytes, 0), pieces };
  } finally {
    if (staging !== null) await rm(staging, { recursive: true, force: true });
  }
}
