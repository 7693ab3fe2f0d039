import type { ChatRequest } from '../../shared/protocol/chat-api.ts';
import { SealedTask } from '../../shared/sealed-task/sealed-task.ts';
import type { Env } from '../env.ts';
import type { RouterKeys } from '../keys/router-keys.ts';
import { poolStub } from '../pool/pool-address.ts';
import type { LeaseWant } from '../pool/pool-ports.ts';
import { unwrap } from '../pool/session-calls.ts';

/**
 * A task for a plain HTTP client: the router seals the prompt to the tab and opens its frames, as a page does for itself. The body key and the
 * text live in this invocation only, and are gone with it. No tab gets the prompt before `held` has resolved.
 */
export async function openPlainTask(
  env: Env,
  keys: RouterKeys,
  request: ChatRequest,
  want: LeaseWant,
  held: Promise<void>,
): Promise<SealedTask> {
  const pool = poolStub(env);
  const stream = await pool.request(want);
  return new SealedTask(
    stream,
    {
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
      reattach: ({ statement }, from) => poolStub(env).reattach(want.task, statement, from),
    },
  );
}
