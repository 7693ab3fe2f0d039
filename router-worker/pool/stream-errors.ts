import { type ErrorCode, ShoalError } from '../../shared/errors.ts';
import type { StreamEvent } from '../../shared/protocol/stream-records.ts';
import type { TabToRouter } from '../../shared/protocol/tab-socket.ts';
import type { LeaseWant } from './pool-ports.ts';

/** What the pool tells a client when its task cannot go on. The words are the router's own: a tab's would be a stranger's. */

export function failedEvent(error: ShoalError): StreamEvent {
  const { code, message, param, retry_after_ms } = error.toWire();
  return { t: 'failed', error: { code, message, param, retry_after_ms } };
}

export function overloaded(message: string): ShoalError {
  return new ShoalError('overloaded', message, { retryAfterMs: 10_000 });
}

export function noTab(want: LeaseWant): ShoalError {
  const model = want.variants[0]?.model ?? 'this model';
  const message =
    want.claim.allow === null
      ? `No tab serves ${model} at the moment. Open ${want.network}/join to lend one.`
      : `None of the tabs that the session allows serves ${model} at the moment.`;
  return new ShoalError('no_tab', message, { retryAfterMs: 15_000 });
}

export function lost(code: ErrorCode): ShoalError {
  return new ShoalError(code, LOST[code] ?? 'The tab that answered went away.');
}

/** The tab was lost in the middle of the answer, and no other can go on with it. */
export function unfinished({ code, message }: ShoalError): ShoalError {
  return new ShoalError(
    code,
    `${message} What arrived is not the whole answer, and no tab that writes the same is free.`,
  );
}

const LOST: Partial<Record<ErrorCode, string>> = {
  answer_disputed: 'The tab was lost, and another one writes something else.',
  cancelled: 'The request was stopped.',
  deadline_exceeded: 'The tab did not answer in time.',
  integrity_failed: 'What the tab signed does not hold.',
};

/** One of the texts that were to be embedded. */
const ONE_INPUT = /^input\[\d{1,4}\]$/;

/** A tab may say why it failed, in the codes below; of its text only a count of tokens is passed on, and the place of a text. */
export function failureOf({ code, message, param }: Extract<TabToRouter, { t: 'failed' }>['error']): ShoalError {
  switch (code) {
    case 'context_length_exceeded': {
      const [, tokens] = /(\d{1,7}) tokens/.exec(message) ?? [];
      const size = tokens === undefined ? 'is' : `has ${tokens} tokens, which is`;
      if (param !== null && ONE_INPUT.test(param)) {
        return new ShoalError(code, `This text ${size} too long for the model's context.`, { param });
      }
      return new ShoalError(code, `The conversation ${size} too long for the model's context.`, { param: 'messages' });
    }
    case 'invalid_value':
      return new ShoalError(code, "The model's chat template refuses this conversation.", { param: 'messages' });
    case 'sealed_body_invalid':
      return new ShoalError(code, 'The tab refused the sealed envelope.');
    default:
      return new ShoalError('engine_failed', 'The engine of the tab failed.');
  }
}
