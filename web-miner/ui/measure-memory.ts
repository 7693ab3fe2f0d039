type Measured = Performance & { readonly measureUserAgentSpecificMemory?: () => Promise<{ readonly bytes: number }> };

/**
 * Memory of this page and its workers, bytes. Null where the browser does not measure it: it must know that no other page shares the process. May take half
 * a minute: browsers wait for a moment in which they clean up anyway.
 */
export async function measureMemory(): Promise<number | null> {
  if (!globalThis.crossOriginIsolated) return null;
  try {
    return (await (performance as Measured).measureUserAgentSpecificMemory?.())?.bytes ?? null;
  } catch {
    return null;
  }
}
