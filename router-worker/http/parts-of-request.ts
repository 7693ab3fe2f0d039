import type { ModelEntry, ServedVariant } from '../../shared/classes/catalogue.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';
import type { Level } from '../../shared/protocol/level.ts';
import { completionId, taskId } from '../../shared/protocol/task-ids.ts';
import { promptBytes } from '../../shared/sealed-task/sealed-task.ts';
import { routerKeys, sessionNameOf } from '../keys/router-keys.ts';
import { embeddedTokensAtMost, quoteFor, tokensAtMost } from '../models/quote.ts';
import { poolStub } from '../pool/pool-address.ts';
import { sessionStub } from '../pool/session-calls.ts';
import { type PartPrompt, partsOfPool } from '../segmentation/open-parts.ts';
import { PartsRun } from '../segmentation/parts-run.ts';
import { admit, holdFor } from './admission.ts';
import { keeperOf } from './answers.ts';
import { claimOf } from './claim-of.ts';
import type { AppContext } from './context.ts';
import { admitToSession, type NamedSession } from './named-session.ts';
import { offerRequest, refuseAbove, verifyRequest } from './verify-request.ts';

/** Tasks that the header names; the body names them all. */
const MAX_TASKS_IN_HEADER = 128;

/** A part that was the slower of two, or failed, is known to be so when the other is delivered: its price waits so long for that, ms. */
const PART_WORD_MS = 10_000;

/** Parts that are given together or not at all wait for the last one, ms. A Worker that died says nothing more: then they count as given. */
const WHOLE_WORD_MS = 10 * 60 * 1000;

/** What all parts of a request have in common. */
export interface PartsAsked {
  readonly model: string;
  /** Left out: those behind the name, of a model that chats. */
  readonly variants?: readonly [ServedVariant, ...ServedVariant[]];
  readonly level: Level | null;
  readonly checks: 1 | 2 | 3;
  readonly awaitVerdict: boolean;
  readonly sampling: Partial<Sampling>;
  /** Parts that are asked for to begin with: a session must have room for their prices, one by one. */
  readonly count: number;
  /** Bytes of the longest prompt, and the field that it came in. */
  readonly promptBytes: number;
  readonly promptField: string;
  /** Tokens that all parts can have at most, as far as that is known before they are cut: they count against the caller's rate. */
  readonly tokensAtMost: (model: ModelEntry) => number;
  /** Conversations that begin alike share a session; becomes a name by the router's keyed hash, at once. */
  readonly sessionSeed: readonly unknown[];
  /** Whether the answer is given as a whole or not at all. Else each part is given when it is there. */
  readonly isWhole: boolean;
  /** Whether a session's deadline is of each part, from when it is asked for, and not of them all. */
  readonly hasOwnDeadlines: boolean;
}

/** A request whose parts may be asked for. */
export interface PartsOfRequest {
  readonly run: PartsRun<PartPrompt>;
  readonly model: ModelEntry;
  readonly level: Level;
  /** Ids of the tasks so far, in the order in which they were asked for; a part that is asked for again has another. */
  readonly tasks: readonly TaskTail[];
  /** Of the whole answer: that of the first task. */
  id(): string;
  /** The request has failed, and why: what is not done is stopped, and the refusal names the tasks. */
  giveUp(cause: unknown): void;
  headers(): Record<string, string>;
}

/**
 * Verifies what can be verified before a tab is troubled, and makes ready to run the parts. A client that hangs up stops them all; their checks go on after
 * the answer. In a session that was set up each part is a task of it: it takes a place, and its price counts. Throws errors of the vocabulary.
 */
export async function openPartsOfRequest(
  c: AppContext,
  named: NamedSession | null,
  asked: PartsAsked,
): Promise<PartsOfRequest> {
  const offered = await offerRequest(c, named, { ...asked, messages: 1 });
  const [{ model: first }] = offered.fitting;
  const caller = await admit(c, offered.name, asked.tokensAtMost(first));
  const verified = await verifyRequest(c, offered, caller.floor, 'work');
  const { variants, model, level, checks, sla } = verified;
  const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
  const conversation = await sessionNameOf(
    keys,
    JSON.stringify(['plain', caller.seed, asked.model, ...asked.sessionSeed]),
  );
  const session = named?.name ?? conversation;
  const quoteOf = ({ kind, messages, sampling }: PartPrompt) => {
    const most =
      kind === 'embed'
        ? embeddedTokensAtMost(
            model,
            messages.map(({ content }) => content),
          )
        : tokensAtMost(model, promptBytes(messages), messages.length, sampling.maxTokens);
    return quoteFor(variants, most, level, checks, sla);
  };
  const deadlineMs = named?.settings.deadlineMs ?? null;
  const tasks: TaskTail[] = [];
  if (named !== null) {
    const order = { tokensAtMost: verified.tokens.total, price: verified.price };
    await admitToSession(c, named, { task: '', ...order, tasks: asked.count }, true);
  }
  const run = new PartsRun(
    partsOfPool({
      env: c.env,
      keys,
      session,
      network: new URL(c.req.url).origin,
      variants,
      level,
      checks,
      claim: claimOf(c, caller.payer.account, conversation, named?.settings),
      deadlineAt: () => (asked.hasOwnDeadlines && deadlineMs !== null ? Date.now() + deadlineMs : verified.deadlineAt),
      async takePlace(task, prompt) {
        if (named === null) return;
        const { amount, terms } = quoteOf(prompt);
        refuseAbove(named.settings.priceCeiling, amount);
        await admitToSession(c, named, { task, tokensAtMost: terms.tokens, price: amount });
      },
      hold: (task, prompt) =>
        holdFor(c, session, task, caller.payer, quoteOf(prompt), asked.isWhole ? WHOLE_WORD_MS : PART_WORD_MS),
      async release(task) {
        await sessionStub(c.env, session)
          .releaseHold(task)
          .catch(() => undefined); // Then it comes back by itself.
      },
      tell: (told, word) =>
        c.executionCtx.waitUntil(
          sessionStub(c.env, session)
            .tellRead(told, word)
            .catch(() => undefined), // Then they count as given.
        ),
      onTask: (task) => tasks.push(task),
      keep: keeperOf(c, named),
      suspect: (tab, classId, reason, pool) =>
        c.executionCtx.waitUntil(poolStub(c.env, pool).suspect(tab, classId, reason)),
    }),
    { isWhole: asked.isWhole },
  );
  c.req.raw.signal?.addEventListener('abort', () => run.stop());
  const taskList = () => tasks.slice(0, MAX_TASKS_IN_HEADER).map(taskId).join(', ');
  return {
    run,
    model,
    level,
    tasks,
    id: () => completionId(tasks[0] ?? ''),
    giveUp(cause) {
      run.stop(asked.isWhole && !isOwnFault(cause, model, asked) ? 'discarded' : 'given');
      if (!c.finalized) c.header('shoal-task', taskList());
    },
    headers: () => ({
      'shoal-task': taskList(),
      'shoal-level': level,
      'x-request-id': c.get('requestId'),
    }),
  };
}

/**
 * Whether a prompt of the request was too long: whoever asks for much and adds such a one is not to have the rest done for nothing. Where none can be, however its
 * tokens are counted, it is the tab that says so falsely.
 */
function isOwnFault(cause: unknown, { contextTokens }: ModelEntry, { promptBytes: bytes }: PartsAsked): boolean {
  if (!(cause instanceof ShoalError) || cause.code !== 'context_length_exceeded') return false;
  return tokensAtMost({ contextTokens }, bytes, 1, 0).prompt >= contextTokens;
}
