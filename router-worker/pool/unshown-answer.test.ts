import { expect, it } from 'vitest';
import { decodePacket } from '../../shared/protocol/packets.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { AlteringEngine, oneTokenAltered } from '../testing/altering-engine.ts';
import { TEST_SAMPLING, TestNetwork } from '../testing/network.ts';

const PUP = { model: 'shoal-pup-3m', variant: 'q8_0' };
const EXACT = 'cls_AAAAAAAAAAAAAAAAAAAAAA';
const NEAR = 'cln_AAAAAAAAAAAAAAAAAAAAAA';
const WANT = { variants: [{ ...PUP, class: NEAR }], sampling: { ...TEST_SAMPLING, temperature: 0 } };

it('[K9] a tab that shows its readers nothing has that on its record: once it may sleep, twice it is suspected', async () => {
  const network = await TestNetwork.create();
  const engine = new AlteringEngine(new ScriptedEngine(), oneTokenAltered(3));
  const answered = await network.addTab({ ...PUP, class: NEAR, engine });
  for (let i = 0; i < 3; i++) await network.addTab({ ...PUP, class: EXACT, checkOnly: true });
  answered.wire.tamper = (data) => (typeof data !== 'string' && decodePacket(data).kind === 'shown' ? null : data);
  const { task, want } = await network.open('hello', WANT);
  const following = network.follow(task, want);
  for (let i = 0; i < 60; i++) await network.advance(1_000);
  const { verdict } = await following;
  expect(verdict?.verdict).toMatchObject({ value: 'inconclusive', agree: 0, differ: 0 });
  expect(network.pool.tabView(answered.identity).records).toMatchObject([
    { class: NEAR, counts: { missed: 1, disputed: 0 } },
  ]);
}, 30_000);
