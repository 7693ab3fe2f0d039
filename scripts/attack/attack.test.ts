import { describe, expect, it } from 'vitest';
import { AlteringEngine, oneTokenAltered } from '../../router-worker/testing/altering-engine.ts';
import { TEST_SAMPLING, TestNetwork } from '../../router-worker/testing/network.ts';
import { failuresIn, figuresOf } from '../../shared/checking/forced-decode.ts';
import { STATISTICAL_LIMITS } from '../../shared/checking/limits-of-checking.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import type { GenerateRequest } from '../../web-miner/engine/engine.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { Accomplices } from '../../web-miner/testing/hostile/accomplices.ts';
import { LIES, type LieName } from '../../web-miner/testing/hostile/lies.ts';
import {
  engineThatWrites,
  textOf,
  type WrittenAnswer,
  writtenBy,
} from '../../web-miner/testing/hostile/written-answer.ts';
import { withPart } from './attack-document.ts';
import { idleRowOf, rowOf, shareOf } from './attack-row.ts';
import { ATTACKS } from './attacks.ts';
import { type ReceiptRead, readReceipt } from './read-trial.ts';
import type { Trial } from './run-attack.ts';

const sampling = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  seed: 3,
  maxTokens: 24,
};
const request: GenerateRequest = { prompt: 'user: how old is Nora?', sampling, stop: [] };
const HONEST: WrittenAnswer = {
  pieces: ['Well', ', ', 'Nora', ' is ', '31', ' now', '.'].map((text) => ({ text, tokens: 1 })),
  finish: 'stop',
  promptTokens: 9,
  completionTokens: 8,
};

/** What a tab with this lie would send, where the model writes {@link HONEST}. */
async function toldBy(name: LieName): Promise<WrittenAnswer> {
  const lie = LIES[name];
  const engine = engineThatWrites(new ScriptedEngine(), async () => HONEST);
  const claimed = { engine, renderer: { render: () => request.prompt }, write: async () => HONEST };
  const means = { claimed, coarser: null, other: null, accomplices: new Accomplices() };
  if (!('work' in lie)) throw new Error('this lie is told on the wire');
  return writtenBy(lie.work(means).engine, request, new AbortController().signal);
}

describe('the lies', () => {
  it.each<[LieName, string]>([
    ['number-edited', 'Well, Nora is 41 now.'],
    ['name-edited', 'Well, Quinn is 31 now.'],
    ['truncated', 'Well, Nora'],
    ['looping', 'Well, Nora is Well, Nora'],
    ['advertisement', 'Well, Nora is 31 now. By the way, Krill Cola tastes best when it is cold.'],
  ])('%s say what their name says', async (name, text) => {
    expect(textOf(await toldBy(name))).toBe(text);
  });

  it('change one token, and the same one whoever tells it', async () => {
    const told = await toldBy('token-edited');
    const changed = told.pieces.filter((piece, index) => piece.text !== HONEST.pieces[index]?.text);
    expect(changed).toHaveLength(1);
    expect(await toldBy('token-edited')).toEqual(told);
  });

  it('pad the count and leave the text', async () => {
    expect(await toldBy('padded-counts')).toEqual({ ...HONEST, completionTokens: 24 });
  });
});

async function receiptOf(altered: number | null) {
  const network = await TestNetwork.create();
  const engine =
    altered === null ? new ScriptedEngine() : new AlteringEngine(new ScriptedEngine(), oneTokenAltered(altered));
  const answering = await network.addTab({ engine });
  const honest = [await network.addTab({ checkOnly: true }), await network.addTab({ checkOnly: true })];
  const { want } = await network.ask('tell me', { prefer: answering.identity });
  const signed = (await network.session(want.task)).receipt(want.task);
  const { receipt } = await verifyReceipt(signed, { routerKey: network.keys.signer.publicKey });
  return { read: readReceipt(receipt!), answering, honest: honest.map(({ identity }) => identity) };
}

describe('what is read from a receipt', () => {
  it('is who was right, where the answer is a lie', async () => {
    const { read, answering, honest } = await receiptOf(5);
    expect(read).toMatchObject({ answeredBy: answering.identity, verdict: { value: 'invalid' } });
    expect(read.checks.map(({ tab }) => tab).toSorted()).toEqual(honest.toSorted());
    expect(read.checks.map(({ finding, outvoted }) => [finding, outvoted])).toEqual([
      ['differs', false],
      ['differs', false],
    ]);
  });

  it('is the re-counted tokens, where it is true', async () => {
    const { read } = await receiptOf(null);
    expect(read.checks.map(({ finding, outvoted }) => [finding, outvoted])).toEqual([['same', false]]);
    expect(read.tokens?.recounted).toBe(read.tokens?.claimed);
  });
});

/** A near class answers, the exact one reads; the model is one whose limits were measured. */
async function readingOf(altered: number | null) {
  const network = await TestNetwork.create();
  const pup = { model: 'shoal-pup-3m', variant: 'q8_0' };
  const near = { ...pup, class: 'cln_AAAAAAAAAAAAAAAAAAAAAA' };
  const engine =
    altered === null ? new ScriptedEngine() : new AlteringEngine(new ScriptedEngine(), oneTokenAltered(altered));
  await network.addTab({ ...near, engine });
  for (let i = 0; i < 2; i++) await network.addTab({ ...pup, class: 'cls_AAAAAAAAAAAAAAAAAAAAAA', checkOnly: true });
  const { want } = await network.ask('tell me', { variants: [near], sampling: { ...TEST_SAMPLING, temperature: 0 } });
  const signed = (await network.session(want.task)).receipt(want.task);
  const { receipt } = await verifyReceipt(signed, { routerKey: network.keys.signer.publicKey });
  return readReceipt(receipt!);
}

describe('what is read from a receipt of a near class', () => {
  it('is that readers failed a lie, and who stands alone', async () => {
    const { verdict, checks } = await readingOf(5);
    expect(verdict).toMatchObject({ value: 'disputed', method: 'forced-decode' });
    expect(checks.map(({ finding, outvoted }) => [finding, outvoted])).toEqual([
      ['does_not_fit', false],
      ['does_not_fit', false],
    ]);
  });

  it('is that an honest answer fits', async () => {
    const { checks } = await readingOf(null);
    expect(checks.map(({ finding, outvoted }) => [finding, outvoted])).toEqual([['fits', false]]);
  });
});

describe('the readers that lie', () => {
  const lies = ['reads-yes', 'reads-yes-by-spaces', 'reads-yes-by-letters', 'reads-yes-by-guesses'] as const;
  it.each([...lies, 'reads-no'] as const)('say what their name says, whatever the sampler: %s', async (name) => {
    const lie = LIES[name];
    const engine = new ScriptedEngine();
    const means = {
      claimed: { engine, renderer: { render: () => request.prompt }, write: async () => HONEST },
      coarser: null,
      other: null,
      accomplices: new Accomplices(),
    };
    const { engine: lying } = lie.work!(means);
    const tokens = await lying.force({ prompt: 'p', answer: textOf(HONEST) }, new AbortController().signal);
    const limits = STATISTICAL_LIMITS['shoal-pup-3m']!;
    for (const temperature of [0, 0.8]) {
      const end = { finish: 'stop', hasStopStrings: false, cut: false } as const;
      const figures = figuresOf(tokens, end, { ...sampling, temperature, topP: 0.95 });
      expect(failuresIn(figures!, limits).length > 0).toBe(name === 'reads-no');
    }
  });
});

function trial(part: Partial<Trial>, verdict: 'valid' | 'invalid'): Trial {
  const judged = { method: 'exact-re-execution', blocks: 1, agree: 1, differ: 0, cosine: null } as const;
  return {
    asked: {
      answer: { text: 'x', finish: 'stop', tokens: 1 },
      refused: null,
      receipt: {
        answeredBy: 'tab',
        verdict:
          verdict === 'valid'
            ? { value: 'valid', falseBlock: null, ...judged }
            : { value: 'invalid', falseBlock: 0, ...judged },
        checks: [],
        tokens: null,
      },
    },
    lied: verdict === 'invalid',
    hostile: [{ identity: 'tab', role: 'answer', outcome: verdict === 'valid' ? 'agreed' : 'outvoted' }],
    accused: 0,
    ...part,
  };
}

describe('a row of the table', () => {
  const attack = ATTACKS.find(({ name }) => name === 'one-in-twenty')!;

  it('counts the lies that were told, and how many were found', () => {
    const row = rowOf(attack, {
      trials: [trial({}, 'valid'), trial({ lied: true }, 'valid'), trial({}, 'invalid')],
      standings: ['quarantined', 'quarantined'],
    });
    expect(row).toMatchObject({ requests: 3, lies: 2, invalid: 1, valid: 1, accused: 0, found: shareOf(1, 2) });
    expect(row.note).toBe('recorded afterwards as quarantined (2)');
  });

  it('says after how many answers a tab was found out, and forgets what was in flight then', () => {
    const row = rowOf(attack, {
      trials: [trial({}, 'valid'), trial({}, 'valid'), trial({}, 'invalid'), trial({}, 'valid')],
      standings: [],
    });
    expect(row.until).toEqual({ tabs: 1, median: 3, high: 3, lies: 1 });
  });
});

function reading(verdict: 'valid' | 'disputed', part: Partial<Trial> = {}): Trial {
  const whole = trial({ lied: true, ...part }, 'valid');
  const judged = { method: 'forced-decode', blocks: 1, falseBlock: null, cosine: null } as const;
  const finding = verdict === 'valid' ? 'fits' : 'does_not_fit';
  const receipt: ReceiptRead = {
    answeredBy: 'tab',
    verdict: { value: verdict, agree: verdict === 'valid' ? 1 : 0, differ: verdict === 'valid' ? 0 : 2, ...judged },
    checks: [{ tab: 'reader', finding, failed: verdict === 'valid' ? [] : ['largestGap'], outvoted: false }],
    tokens: null,
  };
  return { ...whole, asked: { ...whole.asked, receipt } };
}

describe('a row of answers that are read', () => {
  it('counts the first readings that failed, and the runs of eight answers with one that did', () => {
    const attack = ATTACKS.find(({ name }) => name === 'read-coarser')!;
    const passed = Array.from({ length: 7 }, () => reading('valid'));
    const trials = [...passed, reading('disputed'), ...passed, reading('valid', { lied: false })];
    expect(rowOf(attack, { trials, standings: [] })).toMatchObject({
      requests: 16,
      lies: 15,
      disputed: 1,
      valid: 14,
      found: shareOf(1, 15),
      read: { first: shareOf(1, 15), withinEight: shareOf(1, 2) },
    });
  });

  it('counts honest answers that were in dispute', () => {
    const attack = ATTACKS.find(({ name }) => name === 'read-honest')!;
    const trials = [reading('valid', { lied: false }), reading('disputed', { lied: false, accused: 1 })];
    expect(rowOf(attack, { trials, standings: [] })).toMatchObject({
      accused: 1,
      found: shareOf(1, 2),
      read: { first: shareOf(1, 2), withinEight: null },
      note: 'in dispute for largestGap (1)',
    });
  });

  it('takes a reader for found when it is suspected, although its word stood', () => {
    const attack = ATTACKS.find(({ name }) => name === 'reads-yes')!;
    const liar = { identity: 'reader', role: 'check', outcome: 'agreed' } as const;
    const of = (isSuspected: boolean) => reading('valid', { lied: false, hostile: [{ ...liar, isSuspected }] });
    expect(rowOf(attack, { trials: [of(false), of(true)], standings: [] })).toMatchObject({
      lies: 2,
      valid: 2,
      found: shareOf(1, 2),
      checker: { agreed: 2, outvoted: 0, nothing: 0, undecided: 0, suspected: 1 },
      until: { tabs: 1, median: 2 },
    });
  });
});

describe('a row of the network’s own tasks', () => {
  it('counts the liars in quarantine, and what that took where all were', () => {
    const attack = ATTACKS.find(({ name }) => name === 'idle-pair')!;
    const trials = [
      { liars: 2, quarantined: 2, tasks: 4, seconds: 20.4, accused: 0 },
      { liars: 2, quarantined: 2, tasks: 8, seconds: 40, accused: 0 },
      { liars: 2, quarantined: 1, tasks: 90, seconds: 150, accused: 1 },
    ];
    expect(idleRowOf(attack, trials)).toMatchObject({
      requests: 3,
      lies: 6,
      found: shareOf(5, 6),
      accused: 1,
      idle: { tasks: 6, mostTasks: 8, seconds: 30, mostSeconds: 40 },
    });
  });
});

describe('the document', () => {
  it('is written anew between the markers of a model, and nowhere else', () => {
    const before = 'a\n<!-- begin m -->\nold\n<!-- end m -->\nb';
    expect(withPart(before, 'm', 'new')).toBe('a\n<!-- begin m -->\n\nnew\n<!-- end m -->\nb');
    expect(() => withPart(before, 'n', 'new')).toThrow("no part 'n'");
  });
});
