import type { Page } from 'playwright-core';
import type { ServedVariant } from '../../shared/classes/catalogue.ts';
import { isExactClass } from '../../shared/classes/class-id.ts';
import type { HostedModels } from '../../web-miner/testing/hostile/hosted-tabs.ts';
import type { LieName } from '../../web-miner/testing/hostile/lies.ts';
import type { RunningNetwork } from '../testing/running-network.ts';
import type { Cast } from './attacks.ts';
import type { TrialRequest } from './trial-requests.ts';

export interface Actor {
  readonly identity: string;
  /** Null: honest. */
  readonly lie: LieName | null;
  /** Whether its part is against the rules: an informant's is not, though it helps another one. */
  readonly isHostile: boolean;
  readonly checkOnly: boolean;
  readonly isNear: boolean;
  readonly isGuard: boolean;
}

type Part = Pick<Actor, 'lie' | 'checkOnly' | 'isNear' | 'isGuard'>;

const CHECKER: Part = { lie: null, checkOnly: true, isNear: false, isGuard: false };

/** A real router, a page of honest tabs and a page of hostile ones: each page has engines of its own, each tab an identity and a socket of its own. */
export class Stage {
  readonly #honest: Page;
  readonly #hostile: Page;
  readonly #guard: string;
  #actors: Actor[] = [];

  private constructor(honest: Page, hostile: Page, guard: string) {
    this.#honest = honest;
    this.#hostile = hostile;
    this.#guard = guard;
  }

  static async open(network: RunningNetwork, models: HostedModels): Promise<Stage> {
    const honest = await network.examPage();
    const hostile = await network.examPage();
    await loadInto(honest, { ...models, coarser: null, other: null });
    await loadInto(hostile, models);
    return new Stage(honest, hostile, network.guard);
  }

  get actors(): readonly Actor[] {
    return this.#actors;
  }

  async enter(cast: Cast): Promise<void> {
    const answering = { ...CHECKER, checkOnly: false, isNear: cast.isNear ?? false };
    if (cast.answering !== null) await this.#join({ ...answering, lie: cast.answering });
    if (cast.answering === null || cast.rival === true) await this.#join(answering);
    for (const lie of cast.checking) await this.#join({ ...CHECKER, lie });
    for (let i = 0; i < cast.honest; i++) await this.#join(CHECKER);
    for (let i = 0; i < (cast.guards ?? 0); i++) await this.#join({ ...CHECKER, isGuard: true });
  }

  /** Each of these tabs comes back as another one: it left, and made itself a new key. */
  async replace(actors: readonly Actor[]): Promise<void> {
    for (const actor of actors) {
      await this.#leave(actor);
      await this.#join(actor);
    }
  }

  async clear(): Promise<void> {
    for (const actor of this.#actors) await this.#leave(actor);
  }

  /** What the claimed model really answers, by an engine that no tab of the trial uses for its check. */
  truth({ question, sampling }: TrialRequest, isNear: boolean) {
    return this.#hostile.evaluate(([asked, fixed, near]) => window.exam.tabs.truth(asked, fixed, near), [
      question,
      sampling,
      isNear,
    ] as const);
  }

  async #join({ lie, checkOnly, isNear, isGuard }: Part): Promise<Actor> {
    const page = lie === null ? this.#honest : this.#hostile;
    const tab = { lie, checkOnly, isNear, guard: isGuard ? this.#guard : null };
    const identity = await page.evaluate((options) => window.exam.tabs.join(options), tab);
    const actor = { identity, lie, isHostile: lie !== null && lie !== 'informant', checkOnly, isNear, isGuard };
    this.#actors = [...this.#actors, actor];
    return actor;
  }

  async #leave(actor: Actor): Promise<void> {
    const page = actor.lie === null ? this.#honest : this.#hostile;
    await page.evaluate((identity) => window.exam.tabs.leave(identity), actor.identity);
    this.#actors = this.#actors.filter(({ identity }) => identity !== actor.identity);
  }
}

function loadInto(page: Page, models: HostedModels): Promise<void> {
  return page.evaluate((served) => window.exam.tabs.load(served), models);
}

/** What the pages load beside the claimed variant, as far as this machine has it. `served`: in every arithmetic. */
export function modelsAround(claimed: ServedVariant, served: readonly ServedVariant[]): HostedModels {
  const bytes = ({ variant }: ServedVariant) => variant.weights.bytes;
  const exact = served.filter((one) => isExactClass(one.class));
  const coarser = exact.find(
    ({ model, variant }) => model.id === claimed.model.id && variant.weights.bytes < bytes(claimed),
  );
  const other = exact.find(({ model }) => model.id !== claimed.model.id);
  const near = served.find(
    ({ model, variant, arithmetic }) =>
      model.id === claimed.model.id && variant.id === claimed.variant.id && arithmetic.flashAttention,
  );
  return { claimed, near: near ?? null, coarser: coarser ?? null, other: other ?? null };
}
