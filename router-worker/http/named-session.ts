import { ShoalError } from '../../shared/errors.ts';
import { isRecord } from '../../shared/protocol/field-errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import { onDevices } from '../../shared/protocol/placement.ts';
import { SESSION_HEADER } from '../../shared/protocol/sealed-task-api.ts';
import type { SessionSettings } from '../../shared/protocol/session-api.ts';
import { accountStub } from '../accounts/account-object.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { sessionOfId } from '../keys/session-ids.ts';
import { sessionStub, unwrap } from '../pool/session-calls.ts';
import type { AdmissionOrder } from '../session/set-up-session.ts';
import { accountOf } from './admission.ts';
import type { AppContext } from './context.ts';
import { ownerOf } from './owner.ts';

/** A session that somebody set up, as a request in it sees it. */
export interface NamedSession {
  readonly id: string;
  /** Of its object. */
  readonly name: string;
  readonly owner: string;
  /** Its placement is that of this request: of a session that is bound to its account's devices, these. */
  readonly settings: SessionSettings;
  /** The devices of its account; null where others may read, too. */
  readonly devices: readonly string[] | null;
}

/**
 * The session that a request names by header or body; null when it names none, and has an implicit one. A wrong type is left to whoever parses the body. Throws
 * `invalid_value` for two that differ, `session_not_found`.
 */
export async function namedSession(c: AppContext, body: unknown): Promise<NamedSession | null> {
  const header = c.req.header(SESSION_HEADER) ?? null;
  const inBody = isRecord(body) && isRecord(body.shoal) ? body.shoal.session : null;
  if (header !== null && typeof inBody === 'string' && header !== inBody) {
    throw new ShoalError('invalid_value', `The header '${SESSION_HEADER}' names another session.`, {
      param: 'shoal.session',
    });
  }
  const id = header ?? inBody;
  if (typeof id !== 'string') return null;
  const name = await sessionOfId(await routerKeys(c.env.SHOAL_ROUTER_SECRET), id);
  const owner = await ownerOf(c);
  const settings = unwrap(await sessionStub(c.env, name).settings(owner));
  if (settings.placement.ownDevicesOnly !== true) return { id, name, owner, settings, devices: null };
  const devices = await devicesOfCaller(c);
  return { id, name, owner, settings: { ...settings, placement: onDevices(settings.placement, devices) }, devices };
}

/** Tabs that are paired with the account of this request, as they are now. None where it has no account. */
async function devicesOfCaller(c: AppContext): Promise<string[]> {
  const payer = c.env.BATCH_LINE?.payer;
  const account = payer === undefined ? await accountOf(c) : payer.key === null ? null : payer.account;
  if (account === null) return [];
  return unwrap(await accountStub(c.env, account).devices()).map(({ tab }) => tab);
}

/** Refuses what is not asked within a session that was set up, where the header names one. Throws `unsupported_field`. */
export function refuseSessionHeader(c: AppContext): void {
  if (c.req.header(SESSION_HEADER) !== undefined) throw outsideOfSessions(c.req.path, SESSION_HEADER);
}

function outsideOfSessions(what: string, param: string): ShoalError {
  const message = `${what} cannot be part of a session that was set up: ask for it without one.`;
  return new ShoalError('unsupported_field', message, { param });
}

/** The body with the session's model, where it names none. */
export function withModelOf(session: NamedSession | null, body: unknown): unknown {
  const model = session?.settings.model ?? null;
  return model === null || !isRecord(body) || body.model !== undefined ? body : { ...body, model };
}

/** Gives the task's place back: it was not begun. Where that cannot be told, the session asks the pool itself. */
export async function leaveSession(c: AppContext, { name }: NamedSession, task: TaskTail): Promise<void> {
  await sessionStub(c.env, name)
    .releaseHold(task)
    .catch(() => undefined);
}

/** Takes the task's place in its session, or, with `dry`, only asks for it. Throws `session_exhausted` or `session_busy`. */
export async function admitToSession(
  c: AppContext,
  { name, owner, devices }: NamedSession,
  order: AdmissionOrder,
  dry = false,
): Promise<void> {
  unwrap(await sessionStub(c.env, name).admit(owner, { ...order, ...(devices !== null && { devices }) }, dry));
}
