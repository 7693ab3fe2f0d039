/** What comes in time; null for what comes later, or fails: the others are not to wait for it. Never rejects. */
export async function inTime<T>(coming: Promise<T>, deadlineMs: number): Promise<T | null> {
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), deadlineMs);
  try {
    return await Promise.race([coming, late.promise]);
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}
