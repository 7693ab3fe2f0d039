import type { ModelOnDevice } from './model-on-device.ts';

/** `kept`: the new one failed, and the one before serves on. */
export type ChangeOver =
  | { readonly outcome: 'changed'; readonly model: ModelOnDevice }
  | { readonly outcome: 'kept'; readonly why: unknown };

/**
 * From one model to another: a device has room for one. Each of the two serves only after it was loaded and passed its own test. Throws when nothing is left that
 * works, and `AbortError`.
 */
export async function changeOver(
  before: ModelOnDevice,
  open: () => ModelOnDevice,
  signal: AbortSignal,
): Promise<ChangeOver> {
  let next: ModelOnDevice | null = null;
  try {
    await before.engine.dispose();
    next = open();
    await next.load();
    await next.prove();
    next.mustBeFast(before.name);
    return { outcome: 'changed', model: next };
  } catch (why) {
    await next?.engine.dispose().catch(() => undefined);
    signal.throwIfAborted();
    await before.load();
    await before.proveAnew();
    return { outcome: 'kept', why };
  }
}
