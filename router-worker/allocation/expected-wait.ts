/** A tab that could serve, as far as its work is known. */
export interface Working {
  /** Tokens per second, as the pool measured them; null before the first answer. */
  readonly speed: number | null;
  /** For each lease that it works on: the most tokens it may still write or read again, and how long it is at it, ms. */
  readonly leases: readonly { readonly tokens: number; readonly forMs: number }[];
}

/**
 * How long a request waits for its tab, ms, with so many ahead of it in line: none where a tab is free; else until the answers that are being written end, at the
 * speeds that were measured, if each is as long as it may be. So it is rather too long than too short. Null when nobody can tell: no speed was measured.
 */
export function expectedWait(tabs: readonly Working[], ahead: number, tokens: number): number | null {
  if (tabs.length === 0) return null;
  const free = tabs.filter(({ leases }) => leases.length === 0).length;
  if (free > ahead) return 0;
  const measured = tabs.flatMap(({ speed }) => (speed === null ? [] : [speed]));
  if (measured.length === 0) return null;
  const mean = measured.reduce((sum, speed) => sum + speed, 0) / measured.length;
  const inMs = (count: number, speed: number | null) => (1000 * count) / (speed ?? mean);
  // When each tab is free; whoever is ahead takes the next one, for an answer like this.
  const freeAt = tabs.map(({ speed, leases }) =>
    Math.max(0, ...leases.map((lease) => inMs(lease.tokens, speed) - lease.forMs)),
  );
  for (let i = 0; i < ahead; i++) {
    const next = freeAt.indexOf(Math.min(...freeAt));
    freeAt[next] = (freeAt[next] ?? 0) + inMs(tokens, tabs[next]?.speed ?? null);
  }
  return Math.round(Math.min(...freeAt));
}
