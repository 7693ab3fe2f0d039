import { CLOSE } from '../../shared/protocol/tab-socket.ts';
import { EngineError } from '../engine/engine.ts';
import { ModelDownloadError } from '../models/model-store.ts';
import { SlowDevice, WrongDevice } from '../preflight/self-test.ts';

/** Why a tab does not serve any more, and what its owner can do. */
export interface Ending {
  readonly reason: string;
  readonly next: string;
}

export function explain(cause: unknown): Ending {
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (cause instanceof ModelDownloadError) {
    return { reason, next: 'Check the connection and start again: what was fetched is kept.' };
  }
  if (cause instanceof EngineError) {
    return { reason, next: 'Close other tabs to free memory and start again, or choose a smaller model.' };
  }
  if (cause instanceof SlowDevice) {
    const other =
      cause.smaller === null
        ? 'There is no smaller model here: this device can ask, and lend when it is less busy.'
        : `Choose a smaller model, as ${cause.smaller}.`;
    return { reason, next: `${other} Closing what else keeps the processor busy helps too.` };
  }
  if (cause instanceof WrongDevice) {
    return {
      reason,
      next: 'Restart the browser and start again. When it happens once more the device or its drivers are at fault; nobody holds it against you.',
    };
  }
  return { reason, next: 'Reload the page and start again.' };
}

/** By the code with which the router closed the connection for good. */
export function explainClosed(code: number, reason: string): Ending {
  if (code === CLOSE.replaced) {
    return {
      reason: 'Another tab of this browser took over.',
      next: 'Nothing to do: one tab a browser is right. Start here to take it back.',
    };
  }
  if (code === CLOSE.version) return { reason: 'This page is older than the router.', next: 'Reload the page.' };
  return { reason: `The router closed the connection: ${reason}.`, next: 'Reload the page and start again.' };
}
