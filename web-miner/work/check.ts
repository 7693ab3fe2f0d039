import type { Bytes } from '../../shared/bytes.ts';
import { withDeadline } from '../../shared/deadline.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';

/** The check of another tab's answer: by writing it again (`check-job.ts`), or by reading it (`read-job.ts`). */
export interface Check {
  /** The router asks to reveal, and says what the first tab committed to. */
  askedToReveal(commit: Signed, willBeShown: boolean): void;
  /** The first answer, or a chunk of it, still sealed. */
  receivedAnswer(sealed: Bytes): void;
  /** Throws `EngineError`, or `AbortError` when stopped. */
  run(signal: AbortSignal): Promise<Revealed>;
}

export interface Revealed {
  readonly reveal: Signed;
  /** For the client of a private task: one sealed frame. */
  readonly evidence: string | null;
}

/** Longest wait for the router's word after the commit, ms. */
export const REVEAL_ASKED_MS = 15_000;

/** The value, or null when it takes longer. Throws when the signal aborts. */
export async function within<T>(ms: number, value: Promise<T>, signal: AbortSignal): Promise<T | null> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await withDeadline(Promise.race([value, aborted.promise]), ms, null);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
