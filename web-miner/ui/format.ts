/** Figures as a person reads them. */

export function megabytes(bytes: number): string {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(0)} KB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

export function secondsLeft(bytesLeft: number, bytesPerSecond: number): string {
  if (bytesPerSecond <= 0) return 'estimating the time left';
  const seconds = bytesLeft / bytesPerSecond;
  if (seconds < 1) return 'almost there';
  return seconds < 90 ? `about ${Math.ceil(seconds)} s left` : `about ${Math.ceil(seconds / 60)} min left`;
}

export function speed(tokensPerSecond: number | null): string {
  if (tokensPerSecond === null) return '–';
  return tokensPerSecond < 10 ? tokensPerSecond.toFixed(1) : String(Math.round(tokensPerSecond));
}

/** Credits, of micro-credits: no digit is left out. */
export function credits(micro: number): string {
  return (micro / 1e6).toLocaleString('en', { maximumFractionDigits: 6 });
}

/** `12 s`, `5 min`, `3 h 20 min`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
