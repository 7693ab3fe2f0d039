import { describe, expect, it } from 'vitest';
import { TEST_CLASS, TestNetwork, type TestTab } from '../testing/network.ts';

/** A tab in a network of its own, paired with this account. */
async function aTab(network: TestNetwork, prefix: string, owner: string | null): Promise<TestTab> {
  return network.addTab({
    network: prefix,
    onIdentity: (identity) => {
      if (owner !== null) network.owners.set(identity, owner);
    },
  });
}

/** Who checked what this tab answered, and how far apart they are said to be. */
async function checkersOf(network: TestNetwork, answering: TestTab) {
  const answer = await network.ask('tell me', { prefer: answering.identity });
  const { checkers } = (await network.session(answer.want.task)).view(answer.want.task);
  return checkers.map(({ tab, independence }) => ({ tab, independence }));
}

describe('[O9] tabs of one owner', () => {
  it('check each other after all others, wherever they are, and the receipt says no more than that their keys differ', async () => {
    const network = await TestNetwork.create();
    const mine = await aTab(network, 'home', 'ann');
    const alsoMine = await aTab(network, 'office', 'ann');
    expect(await checkersOf(network, mine)).toEqual([{ tab: alsoMine.identity, independence: 'key' }]);
    const stranger = await aTab(network, 'home', null);
    const near = await checkersOf(network, mine);
    expect(near.every(({ independence }) => independence === 'key')).toBe(true);
    const far = await aTab(network, 'elsewhere', 'ben');
    for (let i = 0; i < 5; i++) {
      expect(await checkersOf(network, mine)).toEqual([{ tab: far.identity, independence: 'network' }]);
    }
    expect(stranger.identity).not.toBe(far.identity);
  });

  it('are told by what the pool heard last, also after it lost its memory', async () => {
    const network = await TestNetwork.create();
    const [mine, other] = [await aTab(network, 'home', null), await aTab(network, 'office', null)];
    expect(await checkersOf(network, mine)).toEqual([{ tab: other.identity, independence: 'network' }]);
    for (const { identity } of [mine, other]) network.pool.owned(identity, 'ann');
    network.loseMemory();
    expect(await checkersOf(network, mine)).toEqual([{ tab: other.identity, independence: 'key' }]);
    network.pool.owned(other.identity, null);
    expect(await checkersOf(network, mine)).toEqual([{ tab: other.identity, independence: 'network' }]);
  });

  it('earn no record by saying yes to each other', async () => {
    const network = await TestNetwork.create();
    const [mine, other] = [await aTab(network, 'home', 'ann'), await aTab(network, 'office', 'ann')];
    await checkersOf(network, mine);
    const agreedOf = ({ identity }: TestTab) =>
      network.pool.tabView(identity).records.find((record) => record.class === TEST_CLASS)?.counts.agreed ?? 0;
    expect([agreedOf(mine), agreedOf(other)]).toEqual([0, 0]);
    const far = await aTab(network, 'elsewhere', null);
    await checkersOf(network, mine);
    expect([agreedOf(mine), agreedOf(far)]).toEqual([1, 1]);
  });
});
