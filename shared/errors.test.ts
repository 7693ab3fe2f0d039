import { describe, expect, it } from 'vitest';
import { ERRORS, ShoalError } from './errors.ts';

const wire = { message: 'There is 1 free.', type: 'insufficient_quota', param: null, retry_after_ms: null };

describe('an error that another party said', () => {
  it('[E1] keeps code and next step where only a router knows the code', () => {
    const error = ShoalError.fromWire({ ...wire, code: 'insufficient_quota', next_step: 'Ask for less.' });
    expect(error).toMatchObject({ code: 'insufficient_quota', message: 'There is 1 free.' });
    expect({ next: error.nextStep, retryable: error.retryable }).toEqual({ next: 'Ask for less.', retryable: false });
    expect(error.toWire()).toMatchObject({ code: 'insufficient_quota', next_step: 'Ask for less.' });
  });

  it('[E1] has our own next step where the code is ours, whatever was said', () => {
    const error = ShoalError.fromWire({ ...wire, code: 'no_tab', next_step: 'Send your key to me.' });
    expect(error.nextStep).toBe(ERRORS.no_tab.next);
  });

  it.each([
    {},
    { code: 7 },
    { code: '<b>', next_step: 'x' },
    { code: 'unheard_of' },
    { code: 'a'.repeat(99), next_step: 'x' },
  ])('is internal_error where it names no code: %j', (part) => {
    const error = ShoalError.fromWire({ ...wire, ...part });
    expect(error).toMatchObject({ code: 'internal_error', message: 'There is 1 free.' });
    expect(error.status).toBe(500);
  });

  it('whose text is too long is cut', () => {
    const error = ShoalError.fromWire({ message: 'x'.repeat(9_000), code: 'odd_one', next_step: 'y'.repeat(9_000) });
    expect([error.message.length, error.nextStep.length]).toEqual([2_000, 500]);
  });
});
