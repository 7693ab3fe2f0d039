import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { drawCommitment } from '../../shared/checking/draw.ts';
import type { ServedVariant } from '../../shared/classes/catalogue.ts';
import { drawSecret, type RouterKeys, taskToken } from '../keys/router-keys.ts';
import type { LeaseWant } from './pool-ports.ts';

/** What a user's task asks of its tab, whoever seals it. */
export interface AskedTask
  extends Pick<LeaseWant, 'task' | 'network' | 'level' | 'wanted' | 'kind' | 'sampling' | 'claim' | 'deadlineAt'> {
  readonly served: readonly Pick<ServedVariant, 'model' | 'variant' | 'class'>[];
}

/** A client that seals for itself. */
type SealingClient = Pick<LeaseWant, 'client' | 'nonce' | 'prefer'>;

/** The terms of a task whose prompt the router seals itself, and reads. */
export async function wantOfPlainTask(
  keys: RouterKeys,
  asked: AskedTask,
  readablePromptBytes: number,
): Promise<LeaseWant> {
  return {
    ...(await wantOf(keys, asked)),
    private: false,
    client: keys.signer.publicKey,
    nonce: toBase64Url(randomBytes(16)),
    prefer: null,
    token: '', // For clients that seal for themselves; here the router is the client.
    readablePromptBytes,
  };
}

/** The terms of a task whose client seals it: the router sees nothing of it. */
export async function wantOfSealedTask(keys: RouterKeys, asked: AskedTask, client: SealingClient): Promise<LeaseWant> {
  const token = await taskToken(keys, asked.task);
  return { ...(await wantOf(keys, asked)), ...client, private: true, token, readablePromptBytes: 0 };
}

async function wantOf(keys: RouterKeys, { served, ...asked }: AskedTask) {
  const variants = served.map(({ model, variant, class: id }) => ({ model: model.id, variant: variant.id, class: id }));
  return { ...asked, variants, draw: await drawCommitment(await drawSecret(keys, asked.task)), only: null };
}
