/** The promise's value, or `late` when it takes longer than `ms`. The promise itself goes on. */
export async function withDeadline<T, L>(promise: Promise<T>, ms: number, late: L): Promise<T | L> {
  const over = Promise.withResolvers<L>();
  const timer = setTimeout(() => over.resolve(late), ms);
  try {
    return await Promise.race([promise, over.promise]);
  } finally {
    clearTimeout(timer);
  }
}
