import { setTimeout as wait } from 'node:timers/promises';
import type { RunningNetwork } from '../testing/running-network.ts';
import type { Attack } from './attacks.ts';
import type { Actor, Stage } from './stage.ts';
import { tabStanding } from './tab-standing.ts';

/** One cast on a network where nobody asks. */
export interface IdleTrial {
  /** Hostile tabs that answer. A friend that only checks is asked nothing, and harms nobody when they are gone. */
  readonly liars: number;
  /** Of them, those that were in quarantine at the end. */
  readonly quarantined: number;
  /** Tasks that the network gave to anybody until then. */
  readonly tasks: number;
  readonly seconds: number;
  /** Honest tabs that were suspected or worse at the end. */
  readonly accused: number;
}

/** Longest wait for the network to find a liar, ms. */
const DEADLINE_MS = 150_000;
const LOOK_EVERY_MS = 500;

const ACCUSED = ['suspected', 'quarantined', 'banned'];

/** Lets each cast stand there until its liars are in quarantine, one cast after the other, each with new identities. */
export async function runIdle(
  { cast }: Attack,
  stage: Stage,
  { router, log }: Pick<RunningNetwork, 'router' | 'log'>,
  options: { readonly class: string; readonly times: number },
): Promise<IdleTrial[]> {
  const trials: IdleTrial[] = [];
  const standings = (actors: readonly Actor[]) =>
    Promise.all(actors.map(({ identity }) => tabStanding(router.url, identity, options.class)));
  for (let time = 0; time < options.times; time++) {
    const tasksBefore = tasksIn(log);
    const startedAt = performance.now();
    await stage.enter(cast);
    try {
      const liars = stage.actors.filter(({ isHostile, checkOnly }) => isHostile && !checkOnly);
      const foundNow = async () => (await standings(liars)).filter((standing) => standing === 'quarantined').length;
      let quarantined = await foundNow();
      while (quarantined < liars.length && performance.now() - startedAt < DEADLINE_MS) {
        await wait(LOOK_EVERY_MS);
        quarantined = await foundNow();
      }
      const honest = await standings(stage.actors.filter(({ isHostile }) => !isHostile));
      trials.push({
        liars: liars.length,
        quarantined,
        tasks: tasksIn(log) - tasksBefore,
        seconds: (performance.now() - startedAt) / 1000,
        accused: honest.filter((standing) => standing !== null && ACCUSED.includes(standing)).length,
      });
    } finally {
      await stage.clear();
    }
  }
  return trials;
}

function tasksIn(log: readonly string[]): number {
  return log.filter((line) => line.includes('"network_task_begun"')).length;
}
