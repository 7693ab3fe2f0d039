import { describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { TestNetwork } from '../testing/network.ts';

type Truth = Record<string, unknown>;
type Lie = (truth: Truth, network: TestNetwork) => Truth | Promise<Truth>;

/** A check whose lease, signed by the router itself, differs in one term from what it should be. */
async function withCheckLease(truth: Truth, network: TestNetwork, term: 'tab' | 'sampling' | 'model'): Promise<Truth> {
  const answer = JSON.parse((truth.lease as { payload: string }).payload) as Truth & { tab: string };
  const [check] = truth.checks as (Truth & { lease: { payload: string } })[];
  const lease = JSON.parse(check!.lease.payload) as Truth & { tab: string };
  const changed = {
    tab: { ...lease, tab: answer.tab },
    sampling: { ...lease, sampling: { ...(lease.sampling as object), seed: 8 } },
    model: { ...lease, model: 'another-model' },
  }[term];
  const signed = await network.keys.signer.sign('lease', JSON.stringify(changed));
  const alone = { ...check, checker: changed.tab, lease: signed, commit: null, reveal: null };
  const readers = [...(truth.readers as object[]), { role: 'check', key: changed.tab }];
  return { ...truth, checks: [alone], readers, verdict: { value: 'unchecked', reason: 'checker_lost' } };
}

/** All checks dropped, for this reason. */
function withoutChecks(truth: Truth, { reason, draw = null }: { reason: string; draw?: unknown }): Truth {
  const readers = (truth.readers as { role: string }[]).filter(({ role }) => role !== 'check');
  return { ...truth, checks: [], readers, draw, verdict: { value: 'unchecked', reason } };
}

/** Receipts that the router itself signs, with its own key, over a lie: what a verifier finds without trusting the router's verdict. */
describe('[R3] a receipt by the true router key', () => {
  it.each<[string, Lie]>([
    [
      'with another verdict',
      (truth) => ({ ...truth, verdict: { value: 'invalid', method: 'exact-re-execution', falseBlock: 0, cosine: 1 } }),
    ],
    [
      'that calls a completed check unchecked',
      (truth) => ({ ...truth, verdict: { value: 'unchecked', reason: 'nobody_fit' } }),
    ],
    ['whose check was dropped', (truth) => ({ ...truth, checks: [] })],
    ['that hides a reader', (truth) => ({ ...truth, readers: (truth.readers as unknown[]).slice(0, 1) })],
    ['for another task', (truth) => ({ ...truth, task: 'B'.repeat(46) })],
    ['with other sampling', (truth) => ({ ...truth, sampling: { ...(truth.sampling as object), temperature: 0 } })],
    ['with another class', (truth) => ({ ...truth, class: `cls_${'B'.repeat(22)}` })],
    ['without the answer’s lease', (truth) => ({ ...truth, lease: null })],
    [
      'whose check is the answer’s own tab',
      (truth) => ({
        ...truth,
        readers: (truth.readers as { role: string; key: string }[]).map((reader) => ({
          ...reader,
          role: reader.role === 'check' ? 'answer' : reader.role,
        })),
      }),
    ],
    ['[K1] whose check was leased to the tab that answered', (truth, network) => withCheckLease(truth, network, 'tab')],
    ['whose check ran with other sampling', (truth, network) => withCheckLease(truth, network, 'sampling')],
    ['whose check ran another model', (truth, network) => withCheckLease(truth, network, 'model')],
    ['that names another model than its lease', (truth) => ({ ...truth, model: 'a-better-model' })],
    [
      '[R4] that leaves the router out of the readers of a plain prompt',
      (truth) => ({ ...truth, readers: (truth.readers as { role: string }[]).filter(({ role }) => role !== 'router') }),
    ],
    [
      'that lists one checker twice',
      (truth) => ({ ...truth, checks: [...(truth.checks as unknown[]), ...(truth.checks as unknown[])] }),
    ],
    [
      'that says answered without an answer',
      (truth) => ({ ...truth, commit: null, checks: [], verdict: { value: 'unchecked', reason: 'nobody_fit' } }),
    ],
    [
      '[K13] whose draw opens another secret',
      (truth) => ({ ...truth, draw: { ...(truth.draw as object), secret: 'A'.repeat(43) } }),
    ],
    [
      '[K13] whose candidates are in another order',
      (truth) => {
        const draw = truth.draw as { candidates: object[] };
        return { ...truth, draw: { ...draw, candidates: draw.candidates.toReversed() } };
      },
    ],
    [
      '[K13] whose checker was not drawn',
      (truth) => {
        const draw = truth.draw as { candidates: object[] };
        return { ...truth, draw: { ...draw, candidates: draw.candidates.slice(1) } };
      },
    ],
    ['[K13] that was drawn from nobody', (truth) => ({ ...truth, draw: null })],
    [
      'that makes its checker more independent',
      (truth) => ({
        ...truth,
        checks: (truth.checks as object[]).map((check) => ({ ...check, independence: 'network' })),
      }),
    ],
    [
      '[K12] that has drawn more than six, so that anybody may come next',
      (truth) => ({ ...truth, draw: { ...(truth.draw as object), drawn: 7 } }),
    ],
    [
      '[K12] that has drawn more than there are',
      (truth) => ({ ...truth, draw: { ...(truth.draw as object), drawn: 3 } }),
    ],
    [
      'that was not sampled at a level that is always checked',
      (truth) => withoutChecks(truth, { reason: 'not_sampled' }),
    ],
    ['that was not asked for a check, and was', (truth) => withoutChecks(truth, { reason: 'not_asked' })],
    ['that judges at a level without checks', (truth) => ({ ...truth, level: 'none' })],
    [
      'that was drawn, and says that nobody was there',
      (truth) => withoutChecks(truth, { reason: 'nobody_fit', draw: truth.draw }),
    ],
    [
      'that says that checkers were lost, and nobody was drawn',
      (truth) => withoutChecks(truth, { reason: 'checker_lost' }),
    ],
    ['that has a whole answer, and says that there is none', (truth) => withoutChecks(truth, { reason: 'no_answer' })],
    ['that counts more voices', (truth) => ({ ...truth, verdict: { ...(truth.verdict as object), agree: 2 } })],
    ['that calls a whole answer cancelled', (truth) => ({ ...truth, outcome: { value: 'cancelled' } })],
    ['that judges an answer which failed', (truth) => ({ ...truth, outcome: { value: 'failed', code: 'tab_lost' } })],
    ['of no shape', () => ({ v: 3 })],
  ])('%s is refused', async (_, lie) => {
    const network = await TestNetwork.create();
    for (let i = 0; i < 3; i++) await network.addTab();
    const answer = await network.ask('hello');
    const truth = JSON.parse(answer.verdict?.receipt?.payload ?? '{}') as Record<string, unknown>;
    const routerKey = network.keys.signer.publicKey;
    const again = await network.keys.signer.sign('receipt', JSON.stringify(truth));
    expect((await verifyReceipt(again, { routerKey })).valid).toBe(true);
    const forged = await network.keys.signer.sign('receipt', JSON.stringify(await lie(truth, network)));
    const { valid, problems } = await verifyReceipt(forged, { routerKey });
    expect({ valid, said: problems.length }).toEqual({ valid: false, said: 1 });
  });
});
