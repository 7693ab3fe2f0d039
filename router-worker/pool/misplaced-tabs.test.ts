import { describe, expect, it } from 'vitest';
import { CLOSE } from '../../shared/protocol/tab-socket.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { createStoredIdentity, identityFrom } from '../../web-miner/identity/tab-identity.ts';
import { settle, TestNetwork, type TestTab, until } from '../testing/network.ts';
import type { Wire } from '../testing/wire.ts';
import { MOVES_A_LOOK } from './misplaced-tabs.ts';
import { homeOf } from './rendezvous.ts';

/** A network whose pool is number 0 of so many, and counts what other pools were asked. */
async function networkOf(part: { pools: number; claim?: boolean }) {
  const network = await TestNetwork.create();
  const state = { pools: 1, claimed: [] as string[] };
  network.place = {
    number: 0,
    pools: () => state.pools,
    claim: async (identity) => {
      state.claimed.push(identity);
      return part.claim ?? true;
    },
  };
  network.loseMemory(); // The next pool knows its place.
  return { network, grow: () => (state.pools = part.pools), state };
}

const keysOf = (pool: number, pools: number, count: number) =>
  Array.from({ length: 10_000 }, (_, at) => `key ${at}`)
    .filter((key) => homeOf(key, pools) === pool)
    .slice(0, count);

describe('tabs that belong to another pool', () => {
  it('[Q3] go when they are idle, so many at a look; those that belong here stay', async () => {
    const { network, grow } = await networkOf({ pools: 3 });
    const away: TestTab[] = [];
    for (const homeKey of keysOf(2, 3, MOVES_A_LOOK + 2)) away.push(await network.addTab({ named: { homeKey } }));
    const [homeKey = ''] = keysOf(0, 3, 1);
    const staying = [await network.addTab({ named: { homeKey } })];
    const moved = () => away.filter(({ wire }) => wire.closes.length > 0).length;
    network.pool.tick();
    await settle();
    expect(moved()).toBe(0);
    grow();
    expect(network.pool.isBusy).toBe(true);
    network.pool.tick();
    await settle();
    expect(moved()).toBe(MOVES_A_LOOK);
    network.pool.tick();
    await settle();
    expect(moved()).toBe(MOVES_A_LOOK + 2);
    network.pool.tick();
    await settle();
    expect(new Set(away.flatMap(({ wire }) => wire.closes))).toEqual(new Set([CLOSE.moved]));
    expect(staying.flatMap(({ wire }) => wire.closes)).toEqual([]);
    expect(network.pool.isBusy).toBe(false);
  });

  it('[Q3] stay while they write, and while what they wrote is being checked; nobody is blamed for going', async () => {
    const { network, grow } = await networkOf({ pools: 2 });
    const [awayKey = ''] = keysOf(1, 2, 1);
    const [hereKey = ''] = keysOf(0, 2, 1);
    const paced = (decodeMsPerToken: number) => new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken });
    const tab = await network.addTab({ named: { homeKey: awayKey }, engine: paced(2) });
    const checker = await network.addTab({ named: { homeKey: hereKey }, engine: paced(10) });
    const { closes } = tab.wire;
    grow();
    const asked = await network.open('one two three', { prefer: tab.identity });
    await settle();
    network.pool.tick();
    await settle();
    expect(closes).toEqual([]);
    const following = network.follow(asked.task, asked.want);
    await until(
      () => network.events.some(({ event }) => event === 'check_drawn') || tab.snapshot()?.working === null,
      'it is written',
    );
    network.pool.tick();
    await settle();
    expect(closes).toEqual([]);
    expect((await following).verdict?.verdict.value).toBe('valid');
    network.pool.tick();
    await settle();
    expect([closes, checker.wire.closes]).toEqual([[CLOSE.moved], []]);
    const { records } = network.pool.tabView(tab.identity);
    expect(records.flatMap(({ counts }) => [counts.missed, counts.suspicious])).toEqual([0, 0]);
  });

  it('[Q1] are those, too, that named nobody: or whoever wants to meet its like in the first pool would name nobody', async () => {
    const { network, grow } = await networkOf({ pools: 2 });
    const { wire } = await network.addTab();
    network.pool.tick();
    await settle();
    expect(wire.closes).toEqual([]);
    grow();
    network.pool.tick();
    await settle();
    expect([wire.closes, network.pool.census()]).toEqual([[CLOSE.version], []]);
  });

  it('[Q3] are known by their names after the pool lost its memory', async () => {
    const { network, grow } = await networkOf({ pools: 2 });
    const [homeKey = ''] = keysOf(1, 2, 1);
    const { wire } = await network.addTab({ named: { homeKey } });
    network.loseMemory();
    grow();
    network.pool.tick();
    await settle();
    expect(wire.closes).toEqual([CLOSE.moved]);
  });
});

/** How the socket of a tab ends that does not get in. */
async function closesOf(network: TestNetwork, part: Parameters<TestNetwork['addTab']>[0]): Promise<readonly number[]> {
  const wires: Wire[] = [];
  void network.addTab({ ...part, onWire: (wire) => wires.push(wire) }).catch(() => undefined);
  await until(() => wires[0] !== undefined && wires[0].closes.length > 0, 'it is sent away');
  return wires[0]?.closes ?? [];
}

describe('a tab that joins', () => {
  it('[Q1] is refused in another’s name, before anybody is asked about it', async () => {
    const { network, state } = await networkOf({ pools: 2 });
    const identity = identityFrom(await createStoredIdentity()).signer.publicKey;
    expect(await closesOf(network, { named: { homeKey: 'key', identity } })).toEqual([CLOSE.protocol]);
    expect(state.claimed).toEqual([]);
  });

  it('[Q4] is to come again when what is known of it cannot be had', async () => {
    const { network } = await networkOf({ pools: 2, claim: false });
    expect(await closesOf(network, {})).toEqual([CLOSE.late]);
    expect(network.pool.census()).toEqual([]);
  });

  it('[L2] takes the seat that it has in another pool', async () => {
    const { network } = await networkOf({ pools: 2 });
    const { identity, wire } = await network.addTab({ named: { homeKey: 'key' } });
    network.pool.replaced(identity);
    await settle();
    expect([wire.closes, network.pool.census()]).toEqual([[CLOSE.replaced], []]);
  });
});
