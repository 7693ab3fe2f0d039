import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  ACK_DEADLINE_MS,
  CHECK_DEADLINE_MS,
  FIRST_FRAME_DEADLINE_MS,
  FRAME_GAP_DEADLINE_MS,
  MAX_WAIT_MS,
  SUBTASK_DEADLINE_MS,
} from '../limits.ts';
import { TaskWatchdog } from './task-watchdog.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** More than the router's verdict needs to arrive. */
const AND_A_BIT_MS = 20_000;

function watched() {
  const late = vi.fn();
  return { late, watchdog: new TaskWatchdog(late) };
}

describe('[T1] a client that hears nothing', () => {
  it.each([
    ['for a tab to be found', 'waiting', MAX_WAIT_MS],
    ['for the tab to take the prompt', 'leased', ACK_DEADLINE_MS],
    ['for the first frame', 'accepted', FIRST_FRAME_DEADLINE_MS],
    ['for the next frame', 'writing', FRAME_GAP_DEADLINE_MS],
    ['for the verdict', 'checking', CHECK_DEADLINE_MS],
  ] as const)('waits %s as long as the router does, and not for ever', (_, phase, limitMs) => {
    const { late, watchdog } = watched();
    watchdog.enter(phase);
    vi.advanceTimersByTime(limitMs + 1_000);
    expect(late).not.toHaveBeenCalled();
    vi.advanceTimersByTime(AND_A_BIT_MS * 3);
    expect(late).toHaveBeenCalledOnce();
  });

  it('begins to wait anew with whatever comes', () => {
    const { late, watchdog } = watched();
    watchdog.enter('writing');
    for (let i = 0; i < 10; i++) {
      vi.advanceTimersByTime(FRAME_GAP_DEADLINE_MS);
      watchdog.heard();
    }
    expect(late).not.toHaveBeenCalled();
    vi.advanceTimersByTime(FRAME_GAP_DEADLINE_MS + AND_A_BIT_MS);
    expect(late).toHaveBeenCalledOnce();
  });

  it('waits for no tab that writes for longer than a subtask may live', () => {
    const { late, watchdog } = watched();
    watchdog.enter('leased');
    watchdog.enter('writing');
    for (let ms = 0; ms < SUBTASK_DEADLINE_MS + AND_A_BIT_MS; ms += 10_000) {
      vi.advanceTimersByTime(10_000);
      watchdog.heard();
    }
    expect(late).toHaveBeenCalledOnce();
  });

  it('does not take a late copy of a frame for a tab that writes', () => {
    const { late, watchdog } = watched();
    watchdog.enter('checking');
    watchdog.enter('writing');
    vi.advanceTimersByTime(CHECK_DEADLINE_MS);
    expect(late).not.toHaveBeenCalled();
  });

  it('watches nothing after the end', () => {
    const { late, watchdog } = watched();
    watchdog.end();
    watchdog.enter('writing');
    vi.advanceTimersByTime(SUBTASK_DEADLINE_MS * 2);
    expect(late).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });
});
