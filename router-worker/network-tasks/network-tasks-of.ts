import { drawCommitment } from '../../shared/checking/draw.ts';
import { kindOf } from '../../shared/classes/catalogue.ts';
import type { Env } from '../env.ts';
import { drawSecret, newTaskTail, type RouterKeys, sessionNameOf } from '../keys/router-keys.ts';
import { completeSampling } from '../models/complete-sampling.ts';
import { quoteFor, tokensAtMost } from '../models/quote.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import published from './known-answers.json' with { type: 'json' };
import { type KnownAnswer, KnownAnswers } from './known-answers.ts';
import type { NetworkTaskPorts } from './network-tasks.ts';

/** Sessions that hold the network's own tasks of one day: each keeps its receipts for a month. */
const SESSIONS_A_DAY = 16;
const DAY_MS = 24 * 60 * 60 * 1000;

/** The network's own tasks on this router. `pool`: number of the one that gives them. */
export function networkTasksOf(
  env: Env,
  keys: RouterKeys,
  { random, origin, pool }: Pick<NetworkTaskPorts, 'random' | 'origin'> & { readonly pool: number },
): NetworkTaskPorts {
  return {
    signer: keys.signer,
    random,
    origin,
    async newTask() {
      const day = Math.floor(Date.now() / DAY_MS);
      const seed = JSON.stringify(['network', day, Math.floor(random() * SESSIONS_A_DAY)]);
      const task = await newTaskTail(keys, await sessionNameOf(keys, seed), pool);
      return { task, draw: await drawCommitment(await drawSecret(keys, task)) };
    },
    async modelOf(classId) {
      const served = (await servedCatalogue(env)).find((entry) => entry.class === classId);
      if (served === undefined) return null;
      const { model, variant } = served;
      return {
        model: model.id,
        variant: variant.id,
        kind: kindOf(model),
        complete: (asked) => completeSampling(model, asked),
        quote: (promptBytes, maxTokens, level) =>
          quoteFor([served], tokensAtMost(model, promptBytes, 1, maxTokens), level, 1),
      };
    },
    known: new KnownAnswers(new Map(Object.entries(published as Record<string, KnownAnswer[]>))),
    ownPrompts: (env.SHOAL_NETWORK_PROMPTS ?? '').split('\n').filter((line) => line.trim() !== ''),
  };
}
