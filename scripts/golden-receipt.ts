import './require-node.ts';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AlteringEngine, oneTokenAltered } from '../router-worker/testing/altering-engine.ts';
import { TestNetwork } from '../router-worker/testing/network.ts';
import { ScriptedEngine } from '../web-miner/engine/scripted-engine.ts';
import { ROOT } from './paths.ts';

/**
 * Makes `shared/receipt/golden-receipt.json` anew, as a change of the receipt's shape demands: three tabs, one of which only checks and lies, asked until it
 * was drawn and outvoted. Old receipts are evidence, so within a version of the protocol the file stays as it is.
 */

const network = await TestNetwork.create();
await network.addTab();
await network.addTab();
await network.addTab({ checkOnly: true, engine: new AlteringEngine(new ScriptedEngine(), oneTokenAltered(3)) });
for (;;) {
  const { verdict } = await network.ask('A golden question');
  if (verdict?.verdict.value !== 'valid' || verdict.verdict.differ !== 1 || verdict.verdict.agree !== 1) continue;
  const golden = { routerKey: network.keys.signer.publicKey, receipt: verdict.receipt };
  await writeFile(join(ROOT, 'shared', 'receipt', 'golden-receipt.json'), `${JSON.stringify(golden, null, 2)}\n`);
  break;
}
process.exit(0);
