import { describe, expect, it } from 'vitest';
import type { ModelEntry } from '../../shared/classes/catalogue.ts';
import { ShoalError } from '../../shared/errors.ts';
import { MAX_DOCUMENT_PARTS } from '../../shared/limits.ts';
import { type MapRequest, parseMapRequest } from '../../shared/protocol/map-api.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { TEST_SAMPLING, TestNetwork, until } from '../testing/network.ts';
import { partsOfNetwork, type TestPrompt } from '../testing/network-parts.ts';
import { groupItems, type MapEvent, type MapResult, MapRun } from './map-run.ts';
import { PartsRun } from './parts-run.ts';
import { planMap } from './plan-map.ts';

const MODEL = { id: 'test-model', contextTokens: 512, longestTokenBytes: 14 } as ModelEntry;

const SENTENCES = Array.from({ length: 200 }, (_, at) => `This is sentence number ${at} of the story. `);

function asked(changes: Record<string, unknown> = {}): MapRequest {
  return parseMapRequest({
    model: 'test-model',
    document: SENTENCES.join(''),
    instruction: 'Say it shorter.',
    reduce: null,
    max_tokens: 8,
    ...changes,
  });
}

function mapOf(network: TestNetwork, request: MapRequest): MapRun<TestPrompt> {
  return new MapRun(new PartsRun(partsOfNetwork(network)), planMap(request, MODEL), {
    promptOf: (text, maxTokens) => ({ text, sampling: { ...TEST_SAMPLING, maxTokens } }),
    awaitVerdict: false,
  });
}

async function read(map: MapRun<TestPrompt>, on: (event: MapEvent) => void = () => undefined) {
  const events: MapEvent[] = [];
  for await (const event of map.events()) {
    events.push(event);
    on(event);
  }
  const result = events.at(-1);
  if (result?.type !== 'result') throw new Error('there is no result');
  return { events, result };
}

/** Every part is there, in the order of the document. */
function expectWhole(result: MapResult, length = SENTENCES.join('').length): void {
  const places = result.parts.map(({ start, end }) => [start, end]);
  expect(places[0]?.[0]).toBe(0);
  expect(places.at(-1)?.[1]).toBe(length);
  for (const [at, [start]] of places.entries()) expect(start).toBe(at === 0 ? 0 : places[at - 1]![1]);
}

function refusal(act: () => unknown): Pick<ShoalError, 'code' | 'param'> {
  try {
    act();
  } catch (cause) {
    if (cause instanceof ShoalError) return { code: cause.code, param: cause.param };
    throw cause;
  }
  throw new Error('it was accepted');
}

describe('a map over a document', () => {
  it('tells its parts as they come and in the end in order, with progress', async () => {
    const network = await TestNetwork.create();
    for (const ms of [0, 3]) {
      await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: ms }) });
    }
    const { events, result } = await read(mapOf(network, asked({ part_bytes: 600 })));
    expect(events[0]).toMatchObject({ type: 'planned', parts: result.parts.length, part_bytes: 600 });
    expect(result).toMatchObject({ status: 'completed', result: null, error: null, reductions: [] });
    expectWhole(result);
    expect(result.parts.map(({ part }) => part)).toEqual(result.parts.map((_, at) => String(at + 1)));
    const partial = events.filter((event) => event.type === 'part');
    expect(partial).toHaveLength(result.parts.length);
    const progress = events.filter((event) => event.type === 'progress');
    expect(progress.map(({ done }) => done)).toEqual(result.parts.map((_, at) => at + 1));
    expect(progress.at(-1)).toEqual({
      type: 'progress',
      of: result.parts.length,
      done: result.parts.length,
      failed: 0,
      running: 0,
      waiting: 0,
    });
    const tokens = result.parts.reduce((sum, part) => sum + (part.error === null ? part.usage.total_tokens : 0), 0);
    expect(result.usage.total_tokens).toBe(tokens);
  });

  it('is reduced in a tree when what came back does not fit one context', async () => {
    const network = await TestNetwork.create();
    await network.addTab();
    await network.addTab();
    const { events, result } = await read(
      mapOf(network, asked({ reduce: 'Make it one.', part_bytes: 200, max_tokens: 60 })),
    );
    expect(result.status).toBe('completed');
    const levels = events.filter((event) => event.type === 'reducing');
    expect(levels.length).toBeGreaterThan(1);
    expect(levels[0]?.answers).toBe(result.parts.length);
    expect(levels.at(-1)?.into).toBe(1);
    const answers = levels.map((level) => level.answers);
    expect(answers).toEqual([...new Set(answers)].sort((a, b) => b - a)); // Fewer at each level.
    expect(result.result).toBe(result.reductions.at(-1)?.text);
    expect(result.reductions.at(-1)?.level).toBe(levels.length);
  });

  it('of one part is reduced all the same', async () => {
    const network = await TestNetwork.create();
    await network.addTab();
    const { result } = await read(mapOf(network, asked({ document: 'One sentence.', reduce: 'Make it one.' })));
    expect(result).toMatchObject({ status: 'completed', parts: [{ part: '1' }], reductions: [{ level: 1 }] });
    expect(result.result).toBe(result.reductions[0]?.text);
  });

  it('cuts a part in two that a tab refuses for its length, until it fits', async () => {
    const network = await TestNetwork.create();
    await network.addTab(); // Its tokens are four characters, its context 512 of them.
    const { events, result } = await read(mapOf(network, asked({ part_bytes: 5_000 })));
    expectWhole(result);
    expect(result.status).toBe('completed');
    expect(events.filter((event) => event.type === 'split')[0]).toMatchObject({
      into: [expect.stringMatching(/\.1$/), expect.stringMatching(/\.2$/)],
    });
    expect(result.parts[0]?.part).toMatch(/^1\.1/);
    for (const part of result.parts) expect(part.end - part.start).toBeLessThan(2_048);
  });

  it('goes on when a tab dies, and the order stays right', async () => {
    const network = await TestNetwork.create();
    const slow = { prefillMsPerToken: 0, decodeMsPerToken: 5 };
    const dying = await network.addTab({ engine: new ScriptedEngine(slow) });
    await network.addTab({ engine: new ScriptedEngine(slow) });
    const request = asked({ part_bytes: 500, reduce: 'Make it one.' });
    const undisturbed = await TestNetwork.create();
    await undisturbed.addTab();
    const expected = (await read(mapOf(undisturbed, request))).result;
    let done = 0;
    const { result } = await read(mapOf(network, request), (event) => {
      if (event.type === 'part' && ++done === 5) dying.wire.break(1001);
    });
    expect(result.parts.map((part) => (part.error === null ? part.text : null))).toEqual(
      expected.parts.map((part) => (part.error === null ? part.text : null)),
    );
    expect(result.result).toBe(expected.result);
  });

  it('that is stopped tells what there is, and stops its tabs', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 10 }) });
    const map = mapOf(network, asked({ part_bytes: 500, reduce: 'Make it one.' }));
    let done = 0;
    const { result } = await read(map, (event) => {
      if (event.type === 'part' && event.error === null && ++done === 2) map.stop('deadline_exceeded');
    });
    expect(result).toMatchObject({ status: 'incomplete', result: null, error: { code: 'deadline_exceeded' } });
    expectWhole(result);
    expect(result.parts.filter(({ error }) => error === null)).toHaveLength(2);
    await until(() => tab.snapshot()?.working === null, 'the tab is free');
  });

  it('that nobody serves is refused', async () => {
    const network = await TestNetwork.create();
    await expect(read(mapOf(network, asked()))).rejects.toMatchObject({ code: 'no_tab' });
  });

  it.each<[string, Record<string, unknown>, string, string]>([
    [
      'an instruction that leaves no room',
      { instruction: 'word '.repeat(400) },
      'context_length_exceeded',
      'instruction',
    ],
    ['a reduction that leaves no room', { reduce: 'word '.repeat(400) }, 'context_length_exceeded', 'reduce'],
    [
      'answers too long to be reduced',
      { reduce: 'Make it one.', max_tokens: 300 },
      'context_length_exceeded',
      'reduce',
    ],
    ['too much overlap', { part_bytes: 100, overlap_bytes: 50 }, 'invalid_value', 'overlap_bytes'],
    [
      'too many parts',
      { document: 'word '.repeat(15 * MAX_DOCUMENT_PARTS), part_bytes: 64 },
      'invalid_value',
      'part_bytes',
    ],
    ['a document without text', { document: ' \n ' }, 'empty_messages', 'document'],
    ['a document over the limit', { document: 'x'.repeat(600_000) }, 'invalid_value', 'document'],
    ['both sizes', { part_bytes: 100, part_tokens: 100 }, 'invalid_value', 'part_bytes'],
    ['no reduce at all', { reduce: undefined }, 'missing_field', 'reduce'],
    ['an unknown field', { n: 2 }, 'unknown_field', 'n'],
    ['a deadline in the past', { deadline_ms: 0 }, 'invalid_value', 'deadline_ms'],
  ])('[E2] with %s is refused by name', (_, changes, code, param) => {
    expect(refusal(() => planMap(asked(changes), MODEL))).toEqual({ code, param });
  });
});

describe('answers to be reduced', () => {
  it('are taken together with their neighbours, as many as fit', () => {
    const items = [5, 5, 5, 20, 1, 1].map((tokens) => ({ tokens }));
    expect(groupItems(items, 14).map((group) => group.map(({ tokens }) => tokens))).toEqual([
      [5, 5],
      [5],
      [20],
      [1, 1],
    ]);
  });
});
