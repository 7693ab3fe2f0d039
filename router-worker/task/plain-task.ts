import type { ChatRequest } from '../../shared/protocol/chat-api.ts';
import { SealedTask } from '../../shared/sealed-task/sealed-task.ts';
import type { Env } from '../env.ts';
import type { RouterKeys } from '../keys/router-keys.ts';
import { poolStub } from '../pool/pool-address.ts';
import { learnPools } from '../pool/pool-count.ts';
import type { LeaseWant } from '../pool/pool-ports.ts';
import { unwrap } from '../pool/session-calls.ts';

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
  const pool = poolStub(env, at);
  const { stream, pools } = await pool.request(want);
  learnPools(pools);
  return plainTask(pool, keys, request, want, stream, held);
}

/** What is sealed beside the sampling of the lease. */
type PlainPrompt = Pick<ChatRequest, 'messages' | 'stop'>;

/** The task of a stream that the pool gave already. See {@link openPlainTask}. */
export function plainTask(
  pool: ReturnType<typeof poolStub>,
  keys: RouterKeys,
  request: PlainPrompt,
  want: LeaseWant,
  stream: ReadableStream<Uint8Array>,
  held: Promise<void>,
): SealedTask {
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
      leave: (why) => pool.leave(want.task, why),
      reattach: ({ statement }, from) => pool.reattach(want.task, statement, from),
    },
  );
}
