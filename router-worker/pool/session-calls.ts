import { ShoalError } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Env } from '../env.ts';
import { type RouterKeys, sessionOfTask } from '../keys/router-keys.ts';
import type { Reply, SessionObject } from '../session/session-object.ts';
import type { SessionPort } from './pool-ports.ts';

const ATTEMPTS = 3;
const RETRY_MS = 150;

type SessionStub = DurableObjectStub<SessionObject>;

/** Calls sessions over RPC: finds the object by the task's id, tries again when the object itself could not be reached. */
export function sessionCalls(env: Env, keys: RouterKeys): SessionPort {
  async function call<T>(tail: TaskTail, act: (session: SessionStub) => Promise<Reply<T>>): Promise<T> {
    return callSession(env, await sessionOfTask(keys, tail), act);
  }

  return {
    open: async (terms) => {
      await call(terms.task, (session) => session.open(terms));
    },
    committed: (tail, lease, commit, circumstances) =>
      call(tail, (session) => session.committed(lease, commit, circumstances)),
    checkLeased: (tail, lease) => call(tail, (session) => session.checkLeased(lease)),
    handedOn: (tail) => call(tail, (session) => session.handedOn(tail)),
    checkCommitted: (tail, lease, commit, handedOn) =>
      call(tail, (session) => session.checkCommitted(lease, commit, handedOn)),
    checkRevealed: (tail, lease, reveal, leaves) =>
      call(tail, (session) => session.checkRevealed(lease, reveal, leaves)),
    checkFailed: (tail, ...rest) => call(tail, (session) => session.checkFailed(tail, ...rest)),
    failed: (tail, code, attempt) => call(tail, (session) => session.failed(tail, code, attempt)),
    standing: (tail) => call(tail, (session) => session.standing(tail)),
  };
}

/** Calls a session, and again when the object itself could not be reached: every call is idempotent, so one that was seen before gets the same reply. */
export async function callSession<T>(
  env: Env,
  name: string,
  act: (session: SessionStub) => Promise<Reply<T>>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return unwrap(await act(sessionStub(env, name)));
    } catch (cause) {
      if (cause instanceof ShoalError || attempt >= ATTEMPTS) throw cause;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS * attempt));
    }
  }
}

export function sessionStub(env: Env, name: string): SessionStub {
  return env.SESSION.get(env.SESSION.idFromName(name));
}

/** The value of a reply, or its error thrown. */
export function unwrap<T>(reply: Reply<T>): T {
  if (reply.ok) return reply.value;
  throw ShoalError.fromWire(reply.error);
}
