import { describe, expect, it } from 'vitest';
import {
  CHECK_DEADLINE_MS,
  GUESS_CHUNK_CHARACTERS,
  MAX_GUESSES,
  REVEAL_DEADLINE_MS,
  SHOWN_DEADLINE_MS,
} from '../../shared/limits.ts';
import { decodePacket, encodePacket } from '../../shared/protocol/packets.ts';
import type { RouterToTab } from '../../shared/protocol/tab-socket.ts';
import { matchTranscript } from '../../shared/receipt/match-transcript.ts';
import type { Receipt } from '../../shared/receipt/receipt.ts';
import type { ReadReveal } from '../../shared/receipt/statements.ts';
import { parseTranscript } from '../../shared/receipt/transcript.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { type Engine, EngineError, type ForceRequest } from '../../web-miner/engine/engine.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { readWithModel } from '../../web-miner/work/audit.ts';
import { sealShown } from '../../web-miner/work/shown-answer.ts';
import { blindCheckers } from '../task/blind-checkers.ts';
import { AlteringEngine, oneTokenAltered } from '../testing/altering-engine.ts';
import {
  settle,
  TEST_RENDERER,
  TEST_SAMPLING,
  type TestAnswer,
  TestNetwork,
  type TestTab,
  until,
} from '../testing/network.ts';

/** The model whose limits were measured; the engines are scripted ones. */
const PUP = { model: 'shoal-pup-3m', variant: 'q8_0' };
const EXACT = 'cls_AAAAAAAAAAAAAAAAAAAAAA';
const NEAR = 'cln_AAAAAAAAAAAAAAAAAAAAAA';
const GREEDY = { ...TEST_SAMPLING, temperature: 0 };
const WANT = { variants: [{ ...PUP, class: NEAR }], sampling: GREEDY };

async function networkOf(
  answering: { readonly engine?: Engine } = {},
  checking: readonly { readonly engine?: Engine; readonly class?: string; readonly variant?: string }[] = [{}],
): Promise<{ network: TestNetwork; answered: TestTab; checkers: TestTab[] }> {
  const network = await TestNetwork.create();
  const answered = await network.addTab({ ...PUP, class: NEAR, ...answering });
  const checkers = [];
  for (const one of checking) checkers.push(await network.addTab({ ...PUP, class: EXACT, checkOnly: true, ...one }));
  return { network, answered, checkers };
}

async function receiptOf(network: TestNetwork, answer: TestAnswer): Promise<Receipt> {
  const verified = await verifyReceipt(answer.verdict?.receipt, { routerKey: network.keys.signer.publicKey });
  expect(verified.problems).toEqual([]);
  return verified.receipt!;
}

function revealIn(receipt: Receipt, at = 0): ReadReveal {
  return JSON.parse(receipt.checks[at]!.reveal!.payload) as ReadReveal;
}

const lying = () => new AlteringEngine(new ScriptedEngine(), oneTokenAltered(3));

/** Chunks of an answer that a tab was shown. */
function shownTo(log: readonly (string | Uint8Array)[]): number {
  return log.filter((data) => typeof data !== 'string' && decodePacket(data).kind === 'shown').length;
}

/** Runs no model: says that everything fits, and guesses a word. */
class YesEngine extends AlteringEngine {
  constructor() {
    super(new ScriptedEngine(), (event) => event);
  }
  override async probe() {
    return { candidates: [{ text: ' zebra', logProbability: -0.1 }], choices: [] };
  }
  override async force({ answer }: ForceRequest) {
    const words = answer.split(/(?= )/).map((text) => ({ text, logProbability: -0.1 }));
    return [...words, { text: '', logProbability: -0.1 }].map((word) => ({ ...word, candidates: [word] }));
  }
}

describe('an answer of a near class', () => {
  it('[K18] is read by a tab with the same weights, chunk by chunk, each guessed before it is shown', async () => {
    const { network } = await networkOf();
    const answer = await network.ask('hello', WANT);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', method: 'forced-decode', agree: 1, differ: 0 });
    const receipt = await receiptOf(network, answer);
    const { leaves, guesses, authentic, figures } = revealIn(receipt);
    expect(leaves.length).toBeGreaterThan(3);
    expect(leaves.length).toBeLessThanOrEqual(Math.ceil(answer.text.length / GUESS_CHUNK_CHARACTERS));
    expect(guesses?.map(({ index }) => index)).toEqual(leaves.map((_, index) => index));
    expect(guesses?.every(({ candidates }) => candidates.length === 3)).toBe(true);
    expect({ authentic, figures }).toEqual({
      authentic: true,
      figures: {
        statistics: [{ form: 'greedy', positions: 60, meanGap: 0, largestGap: 0, outside: 0 }],
        cut: false,
      },
    });
    const session = await network.session(answer.want.task);
    expect(session.view(answer.want.task)).toMatchObject({ sure: 'likely', checkers: [{ finding: 'fits' }] });
  });

  it('[K18] with one word changed is disputed, by two readers, and proves nothing', async () => {
    const { network, answered } = await networkOf({ engine: lying() }, [{}, {}, {}]);
    const answer = await network.ask('hello', WANT);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'disputed', method: 'forced-decode', agree: 0, differ: 2 });
    await receiptOf(network, answer);
    expect(network.pool.tabView(answered.identity).records).toMatchObject([
      { class: NEAR, counts: { disputed: 1, refuted: 0 } },
    ]);
  });

  it('[K11] is settled by further readers when one of them contradicts', async () => {
    const liar = new AlteringEngine(new ScriptedEngine(), (event) => event);
    liar.force = async (request) => {
      const tokens = await new YesEngine().force(request);
      return tokens.map((token) => ({ ...token, candidates: [{ text: 'x', logProbability: 0 }] }));
    };
    const { network, answered, checkers } = await networkOf({}, [{ engine: liar }, {}, {}, {}]);
    for (let asked = 0; ; asked++) {
      const answer = await network.ask(`hello ${asked}`, WANT);
      const { verdict } = answer.verdict!;
      expect(verdict.value).toBe('valid');
      if (verdict.value !== 'unchecked' && verdict.differ === 0) continue;
      expect(verdict).toMatchObject({ agree: 3, differ: 1 });
      await receiptOf(network, answer);
      break;
    }
    expect(network.pool.tabView(answered.identity).records[0]?.counts).toMatchObject({ disputed: 0 });
    // Who contradicted the others has a record of it, and nobody else has one.
    const recordsOf = ({ identity }: TestTab) => network.pool.tabView(identity).records;
    const [contrarian, ...honest] = checkers;
    expect(recordsOf(contrarian!)).toMatchObject([{ standing: 'suspected', counts: { disputed: 1, refuted: 0 } }]);
    expect(honest.flatMap(recordsOf)).toEqual([]);
  });

  it('[K18] by nobody but one reader, who contradicts it, is suspicious of both', async () => {
    const { network, answered, checkers } = await networkOf({ engine: lying() });
    const answer = await network.ask('hello', WANT);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'disputed', agree: 0, differ: 1 });
    for (const { identity } of [answered, ...checkers]) {
      expect(network.pool.tabView(identity).records).toMatchObject([{ counts: { disputed: 1, refuted: 0 } }]);
    }
  });

  it('that its length has ended too early fails', async () => {
    const short = new AlteringEngine(new ScriptedEngine(), (event, index) => (index > 20 ? null : event));
    const { network } = await networkOf({ engine: short }, [{}, {}]);
    const answer = await network.ask('hello', WANT);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'disputed', differ: 2 });
    const session = await network.session(answer.want.task);
    expect(session.view(answer.want.task).checkers[0]?.finding).toBe('does not fit: cut');
  });

  it('that is shown otherwise than it was committed to fails', async () => {
    const { network, answered } = await networkOf({}, [{}, {}]);
    answered.wire.tamper = async (data) => {
      if (typeof data === 'string' || decodePacket(data).kind !== 'shown') return data;
      const { number } = decodePacket(data);
      const asked = answered.wire.log
        .filter((message) => typeof message === 'string')
        .map((message) => JSON.parse(message) as Extract<RouterToTab, { t: 'show' }>)
        .findLast(({ t }) => t === 'show')!;
      const scope = { task: answer.want.task, check: number, chunk: asked.chunk };
      return encodePacket('shown', number, await sealShown(asked.evidenceKey, scope, 'What an auditor would like.'));
    };
    const answer = await network.open('hello', WANT);
    const { verdict } = await network.follow(answer.task, answer.want);
    expect(verdict?.verdict).toMatchObject({ value: 'disputed', method: 'forced-decode', differ: 2 });
    const session = await network.session(answer.want.task);
    expect(session.view(answer.want.task).checkers[0]?.finding).toBe('does not fit: shown');
  });

  it('[K7] is inconclusive where the engine of the checker cannot read it', async () => {
    const mute = new AlteringEngine(new ScriptedEngine(), (event) => event);
    mute.probe = () => Promise.reject(new EngineError('unsupported', 'a token begins inside a character'));
    mute.force = () => Promise.reject(new EngineError('unsupported', 'a token begins inside a character'));
    const { network, answered, checkers } = await networkOf({}, [{ engine: mute }]);
    const answer = await network.ask('hello', WANT);
    expect(answer.verdict?.verdict).toMatchObject({
      value: 'inconclusive',
      method: 'forced-decode',
      agree: 0,
      differ: 0,
    });
    await receiptOf(network, answer);
    for (const { identity } of [answered, ...checkers]) expect(network.pool.tabView(identity).records).toEqual([]);
  });

  it('is read by its own class too, and never compared to the byte', async () => {
    const { network } = await networkOf({}, [{ class: NEAR }]);
    const answer = await network.ask('hello', WANT);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', method: 'forced-decode' });
  });

  it('[K8] is guessed in private too, and no guess is opened to the router', async () => {
    const { network } = await networkOf();
    const answer = await network.ask('hello', { ...WANT, private: true });
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', method: 'forced-decode' });
    const { guesses, leaves } = revealIn(await receiptOf(network, answer));
    expect(guesses).toBeNull();
    expect(leaves.length).toBeGreaterThan(3);
  });

  it('is shown in a bounded number of chunks', async () => {
    const network = await TestNetwork.create();
    await network.addTab({ ...PUP, class: NEAR });
    await network.addTab({ ...PUP, class: EXACT, checkOnly: true });
    const sampling = { ...GREEDY, maxTokens: 450 };
    let answer = await network.ask('a long one', { ...WANT, sampling });
    for (let asked = 0; answer.text.length < 1.5 * MAX_GUESSES * GUESS_CHUNK_CHARACTERS; asked++) {
      answer = await network.ask(`a long one ${asked}`, { ...WANT, sampling });
    }
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', method: 'forced-decode' });
    expect(revealIn(await receiptOf(network, answer)).leaves).toHaveLength(MAX_GUESSES);
  });

  it('[K15] is given to nobody who asked for a proof', async () => {
    const { network } = await networkOf();
    await expect(network.ask('hello', { ...WANT, level: 'strict' })).rejects.toMatchObject({ code: 'no_tab' });
  });
});

describe('an answer of an exact class', () => {
  it('[K18] is read where nobody of its class is there', async () => {
    const { network } = await networkOf({}, []);
    await network.addTab({ ...PUP, class: EXACT });
    const want = { variants: [{ ...PUP, class: EXACT }], sampling: GREEDY };
    expect((await network.ask('hello', want)).verdict?.verdict).toMatchObject({ method: 'forced-decode' });
    await network.addTab({ ...PUP, class: EXACT, checkOnly: true });
    expect((await network.ask('hello', want)).verdict?.verdict).toMatchObject({ method: 'exact-re-execution' });
  });

  it('[K17] is read by another quantization, which decides nothing', async () => {
    const network = await TestNetwork.create();
    const answered = await network.addTab({ ...PUP, class: EXACT, engine: lying() });
    await network.addTab({ ...PUP, variant: 'q4_0', class: 'cls_BBBBBBBBBBBBBBBBBBBBBB', checkOnly: true });
    const answer = await network.ask('hello', { variants: [{ ...PUP, class: EXACT }], sampling: GREEDY });
    expect(answer.verdict?.verdict).toMatchObject({
      value: 'inconclusive',
      method: 'cross-class-forced-decode',
      agree: 0,
      differ: 1,
    });
    await receiptOf(network, answer);
    expect(network.pool.tabView(answered.identity).records).toEqual([]);
  });
});

describe('a checker that reads', () => {
  it('[K19] is refused when it opens other guesses than it sent', async () => {
    const { network, checkers } = await networkOf();
    checkers[0]!.wire.tamper = (data) => {
      if (typeof data !== 'string' || !data.includes('"guessed"')) return data;
      return JSON.stringify({ ...(JSON.parse(data) as object), leaf: 'A'.repeat(43) });
    };
    const answer = await network.ask('hello', WANT);
    expect(answer.verdict?.verdict).toEqual({ value: 'unchecked', reason: 'checker_refused' });
  });

  it('[K19] is shown nothing of a chunk before its guess, and nothing twice', async () => {
    const { network, checkers } = await networkOf();
    const { wire } = checkers[0]!;
    let guessed = 1; // Its commit.
    wire.tamper = (data) => {
      if (typeof data !== 'string' || !data.includes('"guessed"')) return data;
      if (guessed === 3) return null;
      guessed++;
      return data;
    };
    const { task, want } = await network.open('hello', WANT);
    const following = network.follow(task, want).catch(() => null);
    await until(() => guessed === 3 && shownTo(wire.log) === 3, 'three chunks');
    await settle();
    expect(shownTo(wire.log)).toBe(3);
    await network.advance(CHECK_DEADLINE_MS + REVEAL_DEADLINE_MS + SHOWN_DEADLINE_MS);
    expect((await following)?.verdict?.verdict).toEqual({ value: 'unchecked', reason: 'checker_lost' });
  });

  it('[K19] that leaves a guess out is refused', async () => {
    const { network, checkers } = await networkOf();
    checkers[0]!.wire.tamper = (data) =>
      typeof data === 'string' && data.includes('"guessed"')
        ? JSON.stringify({ ...(JSON.parse(data) as object), index: 9 })
        : data;
    const answer = await network.ask('hello', WANT);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'unchecked' });
    expect(network.events.map(({ event }) => event)).toContain('tab_refused');
  });

  it('[L8] says a guess again that a dropped socket swallowed, and takes no chunk twice', async () => {
    const { network, checkers } = await networkOf();
    const { wire } = checkers[0]!;
    let dropped = 0;
    wire.tamper = (data) => {
      if (typeof data !== 'string' || !data.includes('"guessed"') || !data.includes('"index":2')) return data;
      if (dropped++ > 0) return data;
      queueMicrotask(() => {
        wire.break();
        wire.reconnect();
      });
      return null;
    };
    const answer = await network.ask('hello', WANT);
    expect(dropped).toBeGreaterThan(1);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', method: 'forced-decode' });
  });

  it('passes over what fits no chunk', async () => {
    const { network, answered } = await networkOf();
    answered.wire.tamper = (data) => {
      if (typeof data === 'string' || decodePacket(data).kind !== 'shown') return data;
      // Each chunk comes behind rubbish, and once more.
      const { number } = decodePacket(data);
      const pass = answered.wire.tamper;
      answered.wire.tamper = (more) => more;
      answered.wire.send(encodePacket('shown', number, new Uint8Array(80)));
      answered.wire.send(data);
      answered.wire.tamper = pass;
      return data;
    };
    const answer = await network.ask('hello', WANT);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', method: 'forced-decode' });
  });

  it('is not blamed when the pool has forgotten its guesses', async () => {
    const { network, checkers } = await networkOf();
    let isForgotten = false;
    checkers[0]!.wire.tamper = (data) => {
      if (!isForgotten && typeof data === 'string' && data.includes('"guessed"')) {
        isForgotten = true;
        network.loseMemory();
      }
      return data;
    };
    const answer = await network.ask('hello', WANT);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'unchecked', reason: 'checker_lost' });
    expect(network.pool.tabView(checkers[0]!.identity).records).toEqual([]);
  });

  it('[K19] that says yes without the model has nothing to guess with', async () => {
    const { network, checkers } = await networkOf({}, [{ engine: new YesEngine() }]);
    const answer = await network.ask('hello', WANT);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', method: 'forced-decode' });
    const receipt = await receiptOf(network, answer);
    expect(await blindCheckers(receipt, answer.text)).toEqual([{ tab: checkers[0]!.identity, class: EXACT }]);
    // Nor does it gain by its yes.
    expect(network.pool.tabView(checkers[0]!.identity).records).toEqual([]);
  });

  it('that runs the model is not blind', async () => {
    const { network } = await networkOf();
    const answer = await network.ask('hello', WANT);
    expect(await blindCheckers(await receiptOf(network, answer), answer.text)).toEqual([]);
  });
});

describe('an audit of a near class', () => {
  it.each([
    ['fits', new ScriptedEngine(), []],
    ['does_not_fit', lying(), expect.arrayContaining(['largestGap'])],
  ] as const)('[A1] says that an answer %s', async (result, engine, failed) => {
    const { network } = await networkOf({ engine });
    const answer = await network.ask('hello', WANT);
    const receipt = await receiptOf(network, answer);
    const transcript = parseTranscript({
      request: { model: PUP.model, messages: [{ role: 'user', content: 'hello' }] },
      response: {
        id: `chatcmpl-${answer.want.task}`,
        choices: [{ index: 0, message: { role: 'assistant', content: answer.text }, finish_reason: 'length' }],
        shoal: { receipt: `rcpt_${answer.want.task}`, salt: answer.task.salt },
      },
    });
    const match = await matchTranscript(receipt, transcript);
    if (match.match !== 'same') throw new Error(match.match);
    const reader = new ScriptedEngine();
    const load = { contextTokens: 512, threads: 1, batchTokens: 64, embeddings: false };
    await reader.load(new Blob(['GGUF']), load, AbortSignal.timeout(10_000));
    const work = { engine: reader, renderer: TEST_RENDERER };
    const exchange = { receipt, commit: match.commit, transcript };
    expect(await readWithModel(exchange, work, AbortSignal.timeout(10_000))).toEqual({
      result,
      positions: expect.any(Number),
      failed,
    });
    const unmeasured = { ...exchange, receipt: { ...receipt, model: 'another' } };
    expect(await readWithModel(unmeasured, work, AbortSignal.timeout(10_000))).toEqual({ result: 'unreadable' });
  });
});
