import type { Page } from 'playwright-core';
import type { ServedVariant } from '../../shared/classes/catalogue.ts';
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
}

/** A real router, a page of honest tabs and a page of hostile ones: each page has engines of its own, each tab an identity and a socket of its own. */
export class Stage {
  readonly #honest: Page;
  readonly #hostile: Page;
  #actors: Actor[] = [];

  private constructor(honest: Page, hostile: Page) {
    this.#honest = honest;
    this.#hostile = hostile;
  }

  static async open(network: RunningNetwork, models: HostedModels): Promise<Stage> {
    const honest = await network.examPage();
    const hostile = await network.examPage();
    await loadInto(honest, { claimed: models.claimed, coarser: null, other: null });
    await loadInto(hostile, models);
    return new Stage(honest, hostile);
  }

  get actors(): readonly Actor[] {
    return this.#actors;
  }

  async enter(cast: Cast): Promise<void> {
    const hostile = cast.answering === null ? null : await this.#join(cast.answering, false);
    if (hostile === null || cast.rival === true) await this.#join(null, false);
    for (const lie of cast.checking) await this.#join(lie, true);
    for (let i = 0; i < cast.honest; i++) await this.#join(null, true);
  }

  /** Each of these tabs comes back as another one: it left, and made itself a new key. */
  async replace(actors: readonly Actor[]): Promise<void> {
    for (const actor of actors) {
      await this.#leave(actor);
      await this.#join(actor.lie, actor.checkOnly);
    }
  }

  async clear(): Promise<void> {
    for (const actor of this.#actors) await this.#leave(actor);
  }

  /** What the claimed model really answers, by an engine that no tab of the trial uses for its check. */
  truth({ question, sampling }: TrialRequest) {
    return this.#hostile.evaluate(([asked, fixed]) => window.exam.tabs.truth(asked, fixed), [
      question,
      sampling,
    ] as const);
  }

  async #join(lie: LieName | null, checkOnly: boolean): Promise<Actor> {
    const page = lie === null ? this.#honest : this.#hostile;
    const identity = await page.evaluate((options) => window.exam.tabs.join(options), { lie, checkOnly });
    const actor = { identity, lie, isHostile: lie !== null && lie !== 'informant', checkOnly };
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

/** The variants that a hostile page loads beside the claimed one, as far as this machine has them. */
export function modelsAround(claimed: ServedVariant, served: readonly ServedVariant[]): HostedModels {
  const bytes = ({ variant }: ServedVariant) => variant.weights.bytes;
  const coarser = served.find(
    ({ model, variant }) => model.id === claimed.model.id && variant.weights.bytes < bytes(claimed),
  );
  const other = served.find(({ model }) => model.id !== claimed.model.id);
  return { claimed, coarser: coarser ?? null, other: other ?? null };
}
