import { expect, it } from 'vitest';
import { concatBytes, EMPTY, fromBase64Url, utf8 } from '../../shared/bytes.ts';
import { guessLeaf } from '../../shared/checking/next-token-commits.ts';
import { decodePacket, encodePacket } from '../../shared/protocol/packets.ts';
import type { RouterToTab } from '../../shared/protocol/tab-socket.ts';
import type { CheckCommit } from '../../shared/receipt/statements.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { hpkeSeal } from '../../shared/sealing/hpke.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import { blindCheckers } from '../task/blind-checkers.ts';
import { TEST_SAMPLING, type TestAnswer, TestNetwork } from '../testing/network.ts';

const PUP = { model: 'shoal-pup-3m', variant: 'q8_0' };
const EXACT = 'cls_AAAAAAAAAAAAAAAAAAAAAA';
const NEAR = 'cln_AAAAAAAAAAAAAAAAAAAAAA';
const WANT = { variants: [{ ...PUP, class: NEAR }], sampling: { ...TEST_SAMPLING, temperature: 0 } };

async function aPair() {
  const network = await TestNetwork.create();
  const answered = await network.addTab({ ...PUP, class: NEAR });
  const reader = await network.addTab({ ...PUP, class: EXACT, checkOnly: true });
  return { network, answered, reader };
}

async function blindIn(network: TestNetwork, answer: TestAnswer) {
  const { problems, receipt } = await verifyReceipt(answer.verdict?.receipt, {
    routerKey: network.keys.signer.publicKey,
  });
  expect(problems).toEqual([]);
  return blindCheckers(receipt!, answer.text);
}

it('[K19] a checker that says yes behind its first guess, without the model and the rest of the answer, is suspicious', async () => {
  const { network, reader } = await aPair();
  const guess = { index: 0, candidates: [' zebra'], nonce: 'A'.repeat(22) };
  let said: { readonly task: string; readonly lease: string; readonly leaf: string } | null = null;
  reader.wire.tamper = async (data) => {
    if (typeof data !== 'string') return data;
    const message = JSON.parse(data) as { t: string; lease: Signed; commit: Signed };
    if (message.t === 'checkCommitted') {
      const commit = JSON.parse(message.commit.payload) as CheckCommit;
      const leaf = await guessLeaf({ ...commit, checker: reader.identity }, guess);
      said = { task: commit.task, lease: commit.lease, leaf };
      const own = { ...commit, commitment: leaf };
      return JSON.stringify({ ...message, commit: await reader.signer.sign('check-commit', JSON.stringify(own)) });
    }
    if (message.t !== 'guessed' || said === null) return data;
    const { task, lease, leaf } = said;
    const statistics = [{ form: 'greedy', positions: 60, meanGap: 0, largestGap: 0, outside: 0 }];
    const yes = { authentic: true, figures: { statistics, cut: false } };
    const reveal = { v: 2, form: 'read', task, lease, leaves: [leaf], guesses: [guess], ...yes };
    const signed = await reader.signer.sign('check-reveal', JSON.stringify(reveal));
    return JSON.stringify({ t: 'checkRevealed', lease: message.lease, reveal: signed, evidence: null });
  };
  const answer = await network.ask('hello', WANT);
  expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', method: 'forced-decode' });
  expect(await blindIn(network, answer)).toEqual([{ tab: reader.identity, class: EXACT }]);
});

it('[K19] a checker that is shown the whole at once has guessed nothing, says so, and is not suspected', async () => {
  const { network, answered } = await aPair();
  let text = '';
  answered.wire.tamper = async (data) => {
    if (typeof data === 'string' || decodePacket(data).kind !== 'shown') return data;
    const asked = answered.wire.log
      .filter((message) => typeof message === 'string')
      .map((message) => JSON.parse(message) as Extract<RouterToTab, { t: 'show' }>)
      .findLast(({ t }) => t === 'show')!;
    const info = utf8(`shoal/shown/v2\n${opened.task.task}\n${asked.check}\n0`);
    const whole = concatBytes(new Uint8Array([0]), utf8(text));
    const { enc, ciphertext } = await hpkeSeal(fromBase64Url(asked.evidenceKey), info, EMPTY, whole);
    return encodePacket('shown', decodePacket(data).number, concatBytes(enc, ciphertext));
  };
  text = (await (await aTwin()).ask('hello', WANT)).text;
  const opened = await network.open('hello', WANT);
  const answer = await network.follow(opened.task, opened.want);
  expect(answer.text).toBe(text);
  expect(answer.verdict?.verdict).toMatchObject({ value: 'inconclusive' });
  expect(await blindIn(network, answer)).toEqual([]);
});

/** Writes the same, so that its answer is known beforehand. */
async function aTwin(): Promise<TestNetwork> {
  return (await aPair()).network;
}
