/**
 * Cosine of two vectors of the same length, −1 … 1; `null` when one of them is zero or the lengths differ: nothing can be said then.
 */
export function cosine(a: Float32Array, b: Float32Array): number | null {
  if (a.length !== b.length || a.length === 0) return null;
  let dot = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  if (aa === 0 || bb === 0 || !Number.isFinite(dot)) return null;
  return Math.max(-1, Math.min(1, dot / Math.sqrt(aa * bb)));
}
