/**
 * The answer to a task that embeds is a text as any other answer: a line for each text, in order, and in it the vector as base64 (RFC 4648, with padding) of its
 * numbers as float32, little endian. So two tabs that compute the same write the same bytes, and whatever holds of answers holds of vectors.
 */
export function vectorLine(vector: Float32Array): string {
  const bytes = new Uint8Array(vector.length * FLOAT_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [at, value] of vector.entries()) view.setFloat32(at * FLOAT_BYTES, value, true);
  return btoa(String.fromCharCode(...bytes));
}

/** The vector of a line; null for what is not the line of a vector with so many numbers. */
export function vectorOfLine(line: string, dimensions: number): Float32Array | null {
  if (line.length !== lineLength(dimensions) || BLANK.test(line)) return null;
  let bytes: string;
  try {
    bytes = atob(line);
  } catch {
    return null;
  }
  if (bytes.length !== dimensions * FLOAT_BYTES) return null;
  const view = new DataView(Uint8Array.from(bytes, (character) => character.charCodeAt(0)).buffer);
  const vector = Float32Array.from({ length: dimensions }, (_, at) => view.getFloat32(at * FLOAT_BYTES, true));
  return vector.every(Number.isFinite) ? vector : null;
}

/** Characters of the line of a vector with so many numbers. */
export function lineLength(dimensions: number): number {
  return Math.ceil((dimensions * FLOAT_BYTES) / 3) * 4;
}

const FLOAT_BYTES = 4;

/** What `atob` passes over, and takes in the place of padding; other readers of base64 do not. */
const BLANK = /\s/;
