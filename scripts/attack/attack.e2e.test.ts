import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { servedClasses, variantsNamed } from '../../shared/classes/catalogue.ts';
import { readEmbedded } from '../models/catalogue-files.ts';
import { type RunningNetwork, startNetwork } from '../testing/running-network.ts';
import { type AttackRow, rowOf } from './attack-row.ts';
import { ATTACKS } from './attacks.ts';
import { runAttack } from './run-attack.ts';
import { modelsAround, Stage } from './stage.ts';
import { trialRequests } from './trial-requests.ts';

const MODEL = 'shoal-pup-3m:q8_0';
const TOKENS = 12;

let network: RunningNetwork;
let stage: Stage;
let run: (name: string, requests: number) => Promise<AttackRow>;

beforeAll(async () => {
  network = await startNetwork();
  const served = await servedClasses(await readEmbedded());
  const [claimed] = variantsNamed(served, MODEL);
  stage = await Stage.open(network, modelsAround(claimed!, served));
  const options = { url: network.router.url, routerKey: network.routerKey, model: MODEL, class: claimed!.class };
  run = async (name, requests) => {
    const attack = ATTACKS.find((known) => known.name === name)!;
    return rowOf(
      attack,
      await runAttack(
        attack,
        stage,
        trialRequests(claimed!.model, requests, Math.max(TOKENS, attack.leastTokens)),
        options,
      ),
    );
  };
});
afterAll(() => network?.stop());

describe('a hostile tab with a real engine', () => {
  it.each(['garbage', 'prompt-ignored', 'token-edited', 'truncated', 'looping'])(
    'is found out at its first check: %s',
    async (name) => {
      expect(await run(name, 2)).toMatchObject({ lies: 2, invalid: 2, accused: 0 });
    },
  );

  it('is refused by the client when it signs for another answer than it streams', async () => {
    expect(await run('another-commit', 2)).toMatchObject({ lies: 2, refused: 2, accused: 0 });
  });

  it('claims more tokens than it wrote in vain: its checkers count them', async () => {
    expect(await run('padded-counts', 2)).toMatchObject({ lies: 2, valid: 2, found: { percent: 100 }, accused: 0 });
  });

  it.each(['always-yes', 'contrarian', 'copier'])('that checks harms no answer and no honest tab: %s', async (name) => {
    const row = await run(name, 3);
    expect(row).toMatchObject({ requests: 3, valid: row.lies, accused: 0 });
  });

  it('in a near class is in dispute when it is read', async () => {
    expect(await run('read-token-edited', 2)).toMatchObject({ lies: 2, disputed: 2, accused: 0 });
  });

  it('that reads without a model changes no verdict, and is suspected for its guesses', async () => {
    const row = await run('reads-yes', 8);
    expect(row).toMatchObject({ requests: 8, valid: row.lies, accused: 0 });
    expect(row.checker).toMatchObject({ agreed: row.lies, outvoted: 0 });
  });
});
