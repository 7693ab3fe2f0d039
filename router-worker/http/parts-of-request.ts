import type { ModelEntry, ServedVariant } from '../../shared/classes/catalogue.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Level } from '../../shared/protocol/level.ts';
import { completionId, taskId } from '../../shared/protocol/task-ids.ts';
import { promptBytes } from '../../shared/sealed-task/sealed-task.ts';
import { routerKeys, sessionNameOf } from '../keys/router-keys.ts';
import { embeddedTokensAtMost, quoteFor, tokensAtMost } from '../models/quote.ts';
import { findVariants, refuseHopeless, servedCatalogue } from '../models/served-catalogue.ts';
import { poolStub } from '../pool/pool-address.ts';
import { type PartPrompt, partsOfPool } from '../segmentation/open-parts.ts';
import { PartsRun } from '../segmentation/parts-run.ts';
import { admit, holdFor } from './admission.ts';
import { claimOf } from './claim-of.ts';
import type { AppContext } from './context.ts';
import { levelOf } from './level-of.ts';
import { refuseSessionHeader } from './named-session.ts';

/** Tasks that the header names; the body names them all. */
const MAX_TASKS_IN_HEADER = 128;

/** What all parts of a request have in common. */
export interface PartsAsked {
  readonly model: string;
  /** Left out: those behind the name, of a model that chats. */
  readonly variants?: readonly [ServedVariant, ...ServedVariant[]];
  readonly level: Level | null;
  readonly checks: 1 | 2 | 3;
  /** Bytes of the longest prompt, and the field that it came in. */
  readonly promptBytes: number;
  readonly promptField: string;
  /** Tokens that all parts can have at most, as far as that is known before they are cut: they count against the caller's rate. */
  readonly tokensAtMost: (model: ModelEntry) => number;
  /** Conversations that begin alike share a session; becomes a name by the router's keyed hash, at once. */
  readonly sessionSeed: readonly unknown[];
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
  /** The request has failed: what is not done is stopped, and the refusal names the tasks. */
  giveUp(): void;
  headers(): Record<string, string>;
}

/**
 * Verifies what can be verified before a tab is troubled, and makes ready to run the parts. A client that hangs up stops them all; their checks go on after
 * the answer. Throws errors of the vocabulary.
 */
export async function openPartsOfRequest(c: AppContext, asked: PartsAsked): Promise<PartsOfRequest> {
  refuseSessionHeader(c);
  const variants = asked.variants ?? findVariants(await servedCatalogue(c.env), asked.model, 'chat');
  const { model } = variants[0];
  refuseHopeless(model, asked.promptBytes, asked.promptField);
  const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
  const caller = await admit(c, asked.model, asked.tokensAtMost(model));
  const level = levelOf(c, asked.level);
  const tasks: TaskTail[] = [];
  const session = await sessionNameOf(keys, JSON.stringify(['plain', caller.seed, asked.model, ...asked.sessionSeed]));
  const claim = claimOf(c, caller.payer.account, session);
  const run = new PartsRun(
    partsOfPool({
      env: c.env,
      keys,
      session,
      network: new URL(c.req.url).origin,
      variants,
      level,
      checks: asked.checks,
      claim,
      hold: (task, { kind, messages, sampling }) => {
        const texts = messages.map(({ content }) => content);
        const most =
          kind === 'embed'
            ? embeddedTokensAtMost(model, texts)
            : tokensAtMost(model, promptBytes(messages), messages.length, sampling.maxTokens);
        return holdFor(c, session, task, caller.payer, quoteFor(variants, most, level, asked.checks, claim.sla));
      },
      onTask: (task) => tasks.push(task),
      suspect: (tab, classId, reason) => c.executionCtx.waitUntil(poolStub(c.env).suspect(tab, classId, reason)),
    }),
  );
  c.req.raw.signal?.addEventListener('abort', () => run.stop());
  const taskList = () => tasks.slice(0, MAX_TASKS_IN_HEADER).map(taskId).join(', ');
  return {
    run,
    model,
    level,
    tasks,
    id: () => completionId(tasks[0] ?? ''),
    giveUp() {
      run.stop();
      if (!c.finalized) c.header('shoal-task', taskList());
    },
    headers: () => ({
      'shoal-task': taskList(),
      'shoal-level': level,
      'x-request-id': c.get('requestId'),
    }),
  };
}
