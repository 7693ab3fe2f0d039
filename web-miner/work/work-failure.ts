import { ShoalError } from '../../shared/errors.ts';
import { EngineError } from '../engine/engine.ts';

/** What the router is told of work that failed. */
export function failureOf(cause: unknown): ShoalError {
  if (cause instanceof EngineError) {
    if (cause.reason === 'context_exceeded') {
      return new ShoalError('context_length_exceeded', cause.message, { param: 'messages' });
    }
    if (cause.reason === 'unsupported') return new ShoalError('invalid_value', cause.message, { param: 'messages' });
    return new ShoalError('engine_failed', 'The engine of the tab failed.', { cause });
  }
  return cause instanceof ShoalError ? cause : new ShoalError('engine_failed', 'The tab failed.', { cause });
}

/** Whether the engine itself is at fault, so that the next work would fail as well. */
export function isBreakdown(cause: unknown): cause is EngineError {
  return cause instanceof EngineError && (cause.reason === 'not_loaded' || cause.reason === 'crashed');
}
