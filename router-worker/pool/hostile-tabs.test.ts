import { describe, expect, it } from 'vitest';
import { randomBytes, toBase64Url, utf8 } from '../../shared/bytes.ts';
import {
  CHECK_DEADLINE_MS,
  HAND_ON_DEADLINE_MS,
  REVEAL_DEADLINE_MS,
  SUBTASK_DEADLINE_MS,
  WRAP_DEADLINE_MS,
} from '../../shared/limits.ts';
import { decodePacket } from '../../shared/protocol/packets.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { decodeEnvelope, encodeEnvelope, type Wrap } from '../../shared/sealing/envelope.ts';
import { peekFrame } from '../../shared/sealing/frames.ts';
import type { Engine } from '../../web-miner/engine/engine.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { guardPass } from '../keys/router-keys.ts';
import { AlteringEngine, oneTokenAltered } from '../testing/altering-engine.ts';
import { settle, TEST_SAMPLING, type TestAnswer, TestNetwork, type TestTab, until } from '../testing/network.ts';
import type { Wire } from '../testing/wire.ts';

/** A network of one honest tab and one under test; whoever is asked is chosen by `prefer`. */
async function pair(
  engine: Engine = new ScriptedEngine(),
): Promise<{ network: TestNetwork; honest: TestTab; other: TestTab }> {
  const network = await TestNetwork.create();
  const honest = await network.addTab();
  const other = await network.addTab({ engine });
  return { network, honest, other };
}

function typeOf(data: string | Uint8Array): string {
  if (typeof data === 'string') return (JSON.parse(data) as { t: string }).t;
  return decodePacket(data).kind;
}

/** Changes one message type of a tab, or drops it by returning null. */
function tamperWith(
  tab: TestTab,
  type: string,
  change: (message: Record<string, unknown>) => Record<string, unknown> | null,
) {
  tab.wire.tamper = (data) => {
    if (typeOf(data) !== type) return data;
    if (typeof data !== 'string') return change({}) === null ? null : data;
    const changed = change(JSON.parse(data) as Record<string, unknown>);
    return changed === null ? null : JSON.stringify(changed);
  };
}

async function expectProvenReceipt(network: TestNetwork, answer: TestAnswer): Promise<void> {
  const receipt = (await network.session(answer.want.task)).receipt(answer.want.task);
  const { problems } = await verifyReceipt(receipt, { routerKey: network.keys.signer.publicKey });
  expect(problems).toEqual([]);
}

describe('a tab that lies about its answer', () => {
  it.each([0, 3, 15, 30])(
    '[K5] is found invalid at the block of token %i, the only one that it altered',
    async (token) => {
      const honestAnswer = await (await pair()).network.ask('tell me', { level: 'none' });
      const { network, other } = await pair(new AlteringEngine(new ScriptedEngine(), oneTokenAltered(token)));
      await network.addTab();
      const answer = await network.ask('tell me', { prefer: other.identity });
      const differsAt = [...utf8(answer.text)].findIndex((byte, i) => byte !== utf8(honestAnswer.text)[i]);
      expect(differsAt).toBeGreaterThanOrEqual(0);
      expect(answer.verdict?.verdict).toMatchObject({
        value: 'invalid',
        method: 'exact-re-execution',
        falseBlock: Math.floor(differsAt / 64),
      });
      await expectProvenReceipt(network, answer);
    },
  );

  it('[C3] is found invalid when it cuts the answer', async () => {
    const cut = new AlteringEngine(new ScriptedEngine(), (event, index) => (index > 10 ? null : event));
    const { network, other } = await pair(cut);
    await network.addTab();
    const answer = await network.ask('tell me', { prefer: other.identity });
    expect(answer.verdict?.verdict).toMatchObject({ value: 'invalid' });
  });

  it('[C6] is refused by the client when it commits to another answer than it streamed', async () => {
    const { network, other } = await pair();
    const elsewhere = await network.ask('another prompt', { prefer: other.identity, level: 'none' });
    const foreign = (await network.session(elsewhere.want.task)).receipt(elsewhere.want.task);
    const { commit } = JSON.parse(foreign.payload) as { commit: unknown };
    tamperWith(other, 'committed', (message) => ({ ...message, commit }));
    await expect(network.ask('tell me', { prefer: other.identity })).rejects.toMatchObject({
      code: 'integrity_failed',
    });
  });

  /** Does something to the third frame of an answer, each time that it is sent. */
  function withThirdFrame(tab: TestTab, change: (packet: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer> | null) {
    tab.wire.tamper = (data) => {
      if (typeof data === 'string' || typeOf(data) !== 'frame') return data;
      return peekFrame(decodePacket(data).payload).sequence === 2 ? change(data) : data;
    };
  }

  it('[S3] is refused by the client when it alters a frame', async () => {
    const { network, other } = await pair();
    withThirdFrame(other, (packet) => {
      const copy = packet.slice();
      copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
      return copy;
    });
    await expect(network.ask('tell me', { prefer: other.identity })).rejects.toMatchObject({
      code: 'integrity_failed',
    });
  });

  it('[S3] gains nothing by sending a frame twice', async () => {
    const { network, other } = await pair();
    const plain = await network.ask('tell me', { prefer: other.identity, level: 'none' });
    withThirdFrame(other, (packet) => {
      other.wire.tamper = (data) => data;
      other.wire.send(packet);
      return packet;
    });
    expect((await network.ask('tell me', { prefer: other.identity, level: 'none' })).text).toBe(plain.text);
  });

  it('[S3] is asked again for a frame that was lost, and given up when it never comes', async () => {
    const { network, other } = await pair();
    const plain = await network.ask('tell me', { prefer: other.identity, level: 'none' });
    withThirdFrame(other, () => {
      other.wire.tamper = (data) => data;
      return null;
    });
    expect((await network.ask('tell me', { prefer: other.identity, level: 'none' })).text).toBe(plain.text);
    withThirdFrame(other, () => null);
    await expect(network.ask('tell me', { prefer: other.identity, level: 'none' })).rejects.toMatchObject({
      code: 'tab_lost',
    });
  }, 20_000);
});

describe('a tab that obstructs its check', () => {
  it('[K9] cannot prevent it by not handing the subtask on: the client does', async () => {
    const { network, other } = await pair();
    const { task, want } = await network.open('tell me', { prefer: other.identity });
    other.wire.tamper = (data) => (['handedOn', 'envelope'].includes(typeOf(data)) ? null : data);
    const following = network.follow(task, want);
    await until(() => network.events.some(({ event }) => event === 'check_leased'), 'the check is leased');
    await settle();
    await network.advance(HAND_ON_DEADLINE_MS + 1);
    const answer = await following;
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid' });
    await expectProvenReceipt(network, answer);
  });

  it('[K9] cannot prevent it by handing on what nobody can open: the client sends its own, and no checker is blamed', async () => {
    const { network, honest, other } = await pair();
    other.wire.tamper = (data) => {
      if (typeof data === 'string' || typeOf(data) !== 'envelope') return data;
      const copy = data.slice();
      copy[copy.length - 3] = (copy.at(-3) ?? 0) ^ 1;
      return copy;
    };
    const answer = await network.ask('tell me', { prefer: other.identity });
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', agree: 1 });
    expect(network.pool.tabView(honest.identity).records[0]?.counts).toMatchObject({ agreed: 1, missed: 0 });
    await expectProvenReceipt(network, answer);
  });

  it('[K9] cannot prevent it by closing after the answer', async () => {
    const { network, other } = await pair();
    const { task, want } = await network.open('tell me', { prefer: other.identity });
    tamperWith(other, 'committed', (message) => {
      setTimeout(() => other.wire.break(1001), 0);
      return message;
    });
    const answer = await network.follow(task, want);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', cosine: null });
    await expectProvenReceipt(network, answer);
  });

  it('[K5] is judged by its commit when it shows the checker another text', async () => {
    const { network, other } = await pair();
    other.wire.tamper = (data) => {
      if (typeof data === 'string' || typeOf(data) !== 'shown') return data;
      const copy = data.slice();
      copy[copy.length - 3] = (copy.at(-3) ?? 0) ^ 1;
      return copy;
    };
    const answer = await network.ask('tell me', { prefer: other.identity });
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', cosine: null });
  });
});

describe('a client that wraps the key for nobody', () => {
  it('[U2] blames no checker, and its own check alone is lost', async () => {
    const { network, honest, other } = await pair();
    const third = await network.addTab();
    const { deliver, handOn } = network.pool;
    const spoiled = (wrap: Wrap): Wrap => ({ ...wrap, wrapped: toBase64Url(randomBytes(48)) });
    network.pool.handOn = (tail, wrap) => handOn.call(network.pool, tail, spoiled(wrap));
    network.pool.deliver = (tail, envelope) => {
      const { wrap, sealed } = decodeEnvelope(envelope);
      const isCheck = (JSON.parse(wrap.lease.payload) as { role: string }).role === 'check';
      return deliver.call(network.pool, tail, isCheck ? encodeEnvelope(spoiled(wrap), sealed) : envelope);
    };
    const answer = await network.ask('tell me');
    expect(answer.verdict?.verdict).toEqual({ value: 'unchecked', reason: 'checker_lost' });
    for (const { identity } of [honest, other, third]) expect(network.pool.tabView(identity).records).toEqual([]);
    await expectProvenReceipt(network, answer);
  });
});

describe('a checker that lies', () => {
  it.each([
    [
      'another chain',
      (reveal: Record<string, unknown>) => ({ ...reveal, chain: { blocks: [], head: 'A'.repeat(43), bytes: 0 } }),
    ],
    ['another nonce', (reveal: Record<string, unknown>) => ({ ...reveal, chainNonce: 'A'.repeat(22) })],
    [
      'another embedding',
      (reveal: Record<string, unknown>) => ({ ...reveal, embedding: { vector: 'AAAAAAAAAAA', nonce: 'A'.repeat(22) } }),
    ],
  ])('[K4] [K7] proves nothing when it opens to %s, properly signed', async (_, change) => {
    const { network, honest, other } = await pair();
    other.wire.tamper = async (data) => {
      if (typeof data !== 'string' || typeOf(data) !== 'checkRevealed') return data;
      const message = JSON.parse(data) as { reveal: { payload: string } };
      const changed = change(JSON.parse(message.reveal.payload) as Record<string, unknown>);
      return JSON.stringify({ ...message, reveal: await other.signer.sign('check-reveal', JSON.stringify(changed)) });
    };
    const answer = await network.ask('tell me', { prefer: honest.identity });
    expect(answer.verdict?.verdict).toEqual({ value: 'unchecked', reason: 'checker_refused' });
    await expectProvenReceipt(network, answer);
  });

  it.each([
    ['checkCommitted', 'commit', 'check-commit'],
    ['checkRevealed', 'reveal', 'check-reveal'],
  ] as const)(
    '[T1] cannot burst the receipt by what it adds to %s, though properly signed',
    async (type, field, kind) => {
      const { network, honest, other } = await pair();
      other.wire.tamper = async (data) => {
        if (typeof data !== 'string' || typeOf(data) !== type) return data;
        const message = JSON.parse(data) as Record<string, { payload: string }>;
        const said = JSON.parse(message[field]!.payload) as object;
        const long = JSON.stringify({ ...said, more: '"'.repeat(100_000) });
        return JSON.stringify({ ...message, [field]: await other.signer.sign(kind, long) });
      };
      const answer = await network.ask('tell me', { prefer: honest.identity });
      expect(answer.verdict?.verdict).toEqual({ value: 'unchecked', reason: 'checker_refused' });
      await expectProvenReceipt(network, answer);
    },
  );

  it('[K7] leaves the answer unchecked when it never commits', async () => {
    const { network, honest, other } = await pair();
    tamperWith(other, 'checkCommitted', () => null);
    await expectUncheckedAfter(network, honest, CHECK_DEADLINE_MS);
  });

  it('[K7] leaves the answer unchecked when it never reveals', async () => {
    const { network, honest, other } = await pair();
    tamperWith(other, 'checkRevealed', () => null);
    await expectUncheckedAfter(network, honest, REVEAL_DEADLINE_MS);
  });

  it('[K7] leaves the answer unchecked when it goes away', async () => {
    const { network, honest, other } = await pair();
    tamperWith(other, 'checkCommitted', () => {
      setTimeout(() => other.wire.break(1001), 0);
      return null;
    });
    const answer = await network.ask('tell me', { prefer: honest.identity });
    expect(answer.verdict?.verdict).toEqual({ value: 'unchecked', reason: 'checker_lost' });
  });

  it('[K3] is shown nothing of the first answer before it has committed', async () => {
    const { network, honest, other } = await pair();
    await network.ask('tell me', { prefer: honest.identity });
    const types = other.wire.log.map(typeOf);
    expect(types.indexOf('checkCommitted')).toBeGreaterThan(types.indexOf('envelope'));
    for (const shown of ['reveal', 'shown'])
      expect(types.indexOf(shown)).toBeGreaterThan(types.indexOf('checkCommitted'));
  });
});

/** A network of an honest answerer, a checker of this kind, and as many honest checkers. Asks until the first drawn is that one. */
async function drawnFirst(
  engine: Engine,
  prepare: (tab: TestTab) => void = () => undefined,
  honestCheckers = 1,
): Promise<{ network: TestNetwork; answer: TestAnswer; checker: TestTab }> {
  for (let i = 0; i < 40; i++) {
    const network = await TestNetwork.create();
    const honest = await network.addTab();
    const checker = await network.addTab({ engine, checkOnly: true });
    prepare(checker);
    for (let k = 0; k < honestCheckers; k++) await network.addTab({ checkOnly: true });
    const answer = await network.ask('tell me', { prefer: honest.identity });
    const view = (await network.session(answer.want.task)).view(answer.want.task);
    if (view.checkers[0]?.tab === checker.identity) return { network, answer, checker };
  }
  throw new Error('it was never drawn first');
}

describe('a checker against whom another one is drawn', () => {
  it('[K11] that contradicts an honest answer is outvoted, and marked', async () => {
    const contrarian = new AlteringEngine(new ScriptedEngine(), oneTokenAltered(5));
    const { network, answer, checker } = await drawnFirst(contrarian);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', agree: 1, differ: 1 });
    await expectProvenReceipt(network, answer);
    const told = checker.wire.log.map(String).filter((text) => text.startsWith('{"t":"verdict"'));
    expect(told.map((text) => JSON.parse(text) as object)).toEqual([
      { t: 'verdict', task: answer.want.task, role: 'check', value: 'valid', outcome: 'refuted' },
    ]);
  });

  it('[K12] that says nothing any more is replaced', async () => {
    const { network, answer } = await drawnFirst(new ScriptedEngine(), (tab) =>
      tamperWith(tab, 'checkCommitted', () => {
        setTimeout(() => tab.wire.break(1001), 0);
        return null;
      }),
    );
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', agree: 1, differ: 0 });
    await expectProvenReceipt(network, answer);
  });

  it('[K4] that sends on what the first checker signed is put out, and replaced', async () => {
    const network = await TestNetwork.create();
    const honest = await network.addTab();
    const tabs = [await network.addTab({ checkOnly: true }), await network.addTab({ checkOnly: true })];
    let first: Record<string, unknown> | null = null;
    for (const tab of tabs) {
      tamperWith(tab, 'checkCommitted', (message) => {
        const copied = first === null ? message : { ...message, commit: first.commit };
        first ??= message;
        return copied;
      });
    }
    const answer = await network.ask('tell me', { prefer: honest.identity, wanted: 2 });
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', agree: 1 });
    const { checkers } = (await network.session(answer.want.task)).view(answer.want.task);
    expect(checkers.map(({ finding }) => finding)).toEqual(['same', null]);
  });

  it('[K5] answers that two tabs of a network falsify together are found by one farther away', async () => {
    const liar = () => new AlteringEngine(new ScriptedEngine(), oneTokenAltered(5));
    const network = await TestNetwork.create();
    const answering = await network.addTab({ engine: liar(), network: 'theirs' });
    await network.addTab({ engine: liar(), network: 'theirs', checkOnly: true });
    await network.addTab({ network: 'elsewhere', checkOnly: true });
    await network.addTab({ network: 'elsewhere too', checkOnly: true });
    const answer = await network.ask('tell me', { prefer: answering.identity });
    expect(answer.verdict?.verdict).toMatchObject({ value: 'invalid', agree: 0, differ: 2 });
    await expectProvenReceipt(network, answer);
  });
});

describe('[K15] a private answer at level strict', () => {
  it('is shown when its receipt proves that it is valid', async () => {
    const { network } = await pair();
    const answer = await network.ask('tell me', { level: 'strict', private: true });
    expect(answer.text).not.toBe('');
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid' });
  });
});

describe('[K15] a strict answer', () => {
  it('is withheld when fewer tabs agree than were asked for', async () => {
    const { network, honest } = await pair();
    await expect(network.ask('tell me', { prefer: honest.identity, level: 'strict', wanted: 2 })).rejects.toMatchObject(
      {
        code: 'answer_not_verified',
        message: 'The answer is valid: 1 of 2 tabs agree.',
      },
    );
    await network.addTab();
    const answer = await network.ask('tell me', { prefer: honest.identity, level: 'strict', wanted: 2 });
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', agree: 2 });
  });
});

describe('[K14] the answering tab', () => {
  it('is told the same whatever the level is', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    const leases: string[][] = [];
    for (const level of ['none', 'basic', 'cross', 'strict'] as const) {
      const before = tab.wire.log.length;
      const asked = network.ask('tell me', { level });
      if (level === 'strict') await expect(asked).rejects.toMatchObject({ code: 'answer_not_verified' });
      else await asked;
      const received = tab.wire.log.slice(before);
      const envelope = received.find((data) => typeof data !== 'string') as Uint8Array<ArrayBuffer>;
      const { wrap } = decodeEnvelope(decodePacket(envelope.slice()).payload);
      leases.push(Object.keys(JSON.parse(wrap.lease.payload) as object));
      const untilCommit = received.slice(0, received.map(typeOf).indexOf('committed'));
      expect(untilCommit.map(String).join()).not.toContain(`"${level}"`);
    }
    expect(new Set(leases.map((fields) => fields.join())).size).toBe(1);
  });
});

describe('a tab that only checks', () => {
  it('is never asked for an answer', async () => {
    const network = await TestNetwork.create();
    await network.addTab({ checkOnly: true });
    await expect(network.ask('tell me')).rejects.toMatchObject({ code: 'no_tab' });
  });

  it('of the operator proves it by a pass, and counts as another owner', async () => {
    const network = await TestNetwork.create();
    const honest = await network.addTab();
    await network.addTab({ checkOnly: true, guard: await guardPass(network.keys) });
    await network.addTab({ checkOnly: true });
    const answer = await network.ask('tell me', { prefer: honest.identity });
    const { checkers } = (await network.session(answer.want.task)).view(answer.want.task);
    expect(checkers.map(({ independence }) => independence)).toEqual(['owner']);
    await expect(network.addTab({ guard: 'not-the-pass' })).rejects.toThrow('waited in vain');
  }, 10_000);
});

describe('messages that come twice, late, or from the wrong tab', () => {
  it('[T2] change nothing', async () => {
    const { network, honest, other } = await pair();
    for (const tab of [honest, other]) {
      const twice: Wire['tamper'] = (data) => {
        if (DOUBLED.includes(typeOf(data))) {
          tab.wire.tamper = (same) => same;
          tab.wire.send(data);
          tab.wire.tamper = twice;
        }
        return data;
      };
      tab.wire.tamper = twice;
    }
    const answer = await network.ask('tell me');
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid' });
    const session = await network.session(answer.want.task);
    const receipt = session.receipt(answer.want.task);
    await settle();
    await network.advance(SUBTASK_DEADLINE_MS + CHECK_DEADLINE_MS + WRAP_DEADLINE_MS);
    expect(session.receipt(answer.want.task)).toEqual(receipt);
  });

  it('[L3] an envelope that is delivered twice is run once', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    const deliver = network.pool.deliver.bind(network.pool);
    network.pool.deliver = async (tail, envelope) => {
      await deliver(tail, envelope);
      await deliver(tail, envelope);
    };
    await network.ask('tell me', { level: 'none' });
    await settle();
    expect(tab.snapshot()?.counts).toMatchObject({ answers: 1, failed: 0 });
  });

  it('a tab cannot commit, fail or accept for another tab’s lease', async () => {
    const { network, honest, other } = await pair(new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 3 }));
    const { task, want } = await network.open('tell me', {
      prefer: other.identity,
      sampling: { ...TEST_SAMPLING, maxTokens: 40 },
    });
    const following = network.follow(task, want);
    await until(() => other.snapshot()?.working === 'answer', 'the tab works');
    const statement = task.held?.statement;
    honest.wire.send(
      JSON.stringify({ t: 'failed', lease: statement, error: { code: 'engine_failed', message: 'no', param: null } }),
    );
    await until(() => !honest.wire.isOpen, 'the liar is put out');
    expect((await following).text).not.toBe('');
  });
});

const DOUBLED = ['committed', 'checkCommitted', 'checkRevealed', 'handedOn', 'accepted'];

async function expectUncheckedAfter(network: TestNetwork, honest: TestTab, deadlineMs: number): Promise<void> {
  const { task, want } = await network.open('tell me', { prefer: honest.identity });
  const following = network.follow(task, want);
  await until(() => network.events.some(({ event }) => event === 'check_leased'), 'the check is leased');
  await settle(60);
  await network.advance(deadlineMs + 1);
  const answer = await following;
  expect(answer.verdict?.verdict).toEqual({ value: 'unchecked', reason: 'checker_lost' });
  await expectProvenReceipt(network, answer);
}
