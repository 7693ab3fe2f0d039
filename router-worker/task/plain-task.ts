import type { ChatRequest } from '../../shared/protocol/chat-api.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import { SealedTask } from '../../shared/sealed-task/sealed-task.ts';
import type { PartWord } from '../billing/grant.ts';
import type { Env } from '../env.ts';
import { type RouterKeys, sessionOfTask } from '../keys/router-keys.ts';
import { poolStub } from '../pool/pool-address.ts';
import { learnPools } from '../pool/pool-count.ts';
import type { LeaseWant } from '../pool/pool-ports.ts';
import { callSession, unwrap } from '../pool/session-calls.ts';

/**
 * A task for a plain HTTP client: the router seals the prompt to the tab and opens its frames, as a page does for itself. The body key and the
 * text live in this invocation only, and are gone with it. No tab gets the prompt before `held` has resolved. `at`: number of the pool that the task's id names.
 */
export async function openPlainTask(
  env: Env,
  keys: RouterKeys,
  request: PlainPrompt,
  want: LeaseWant,
  at: number,
  held: Promise<void>,
): Promise<SealedTask> {
  const { stream, pools } = await poolStub(env, at).request(want);
  learnPools(pools);
  return plainTask(env, keys, request, want, at, stream, held);
}

/**
 * Says of an answer that nobody found a fault in that it was read, where its session waits for that: several tabs may have written at it. One that was said to be disputed
 * stays so. Never rejects: without a word it counts as given.
 */
export async function tellGiven(
  env: Env,
  keys: RouterKeys,
  { held, leases }: Pick<SealedTask, 'held' | 'leases'>,
): Promise<void> {
  if (held !== null && leases > 1) await tellRead(env, keys, held.lease.task, 'given');
}

async function tellRead(env: Env, keys: RouterKeys, task: TaskTail, word: PartWord): Promise<void> {
  const session = await sessionOfTask(keys, task);
  await callSession(env, session, (stub) => stub.tellRead([task], word)).catch((cause) =>
    console.error(JSON.stringify({ event: 'word_not_told', task, word, reason: String(cause) })),
  );
}

/** What is sealed beside the sampling of the lease. */
type PlainPrompt = Pick<ChatRequest, 'messages' | 'stop'>;

/** The task of a stream that the pool gave already. See {@link openPlainTask}. */
export function plainTask(
  env: Env,
  keys: RouterKeys,
  request: PlainPrompt,
  want: LeaseWant,
  at: number,
  stream: ReadableStream<Uint8Array>,
  held: Promise<void>,
): SealedTask {
  const pool = poolStub(env, at);
  return new SealedTask(
    stream,
    {
      kind: want.kind,
      messages: request.messages,
      stop: request.stop,
      sampling: want.sampling,
      private: false,
      signer: keys.signer,
      nonce: want.nonce,
      routerKey: null,
      level: want.level,
      checks: want.wanted,
    },
    {
      async deliver(envelope) {
        await held;
        unwrap(await pool.deliver(want.task, envelope));
      },
      async handOn(wrap) {
        unwrap(await pool.handOn(want.task, wrap));
      },
      // A stream that crossed to this Worker and is cancelled while nothing comes on it is not seen to end by the pool: workerd 1.20261023.
      async leave(why) {
        const told: Promise<unknown>[] = [pool.leave(want.task, why)];
        if (why === 'answer_disputed') told.push(tellRead(env, keys, want.task, 'discarded'));
        await Promise.all(told);
      },
      reattach: ({ statement }, from) => pool.reattach(want.task, statement, from),
    },
  );
}
