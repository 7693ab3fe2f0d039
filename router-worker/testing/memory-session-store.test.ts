import { describe, it } from 'vitest';
import { SESSION_STORE_EXAM } from '../session/session-store-exam.ts';
import { MemorySessionStore } from './memory-session-store.ts';

const KEPT_MS = 60_000;

describe('the session store in memory', () => {
  it.each(SESSION_STORE_EXAM)('$title', (examCase) => examCase.run(new MemorySessionStore(KEPT_MS), KEPT_MS));
});
