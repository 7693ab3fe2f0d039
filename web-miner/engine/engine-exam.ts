import { PROBE_CANDIDATES } from '../../shared/limits.ts';
import { LIKELIEST, type Sampling } from '../../shared/protocol/lease.ts';
import {
  type Engine,
  EngineError,
  type EngineFailure,
  type GenerateEvent,
  isAbort,
  type LoadOptions,
} from './engine.ts';

/**
 * What every engine must do. The scripted engine sits this exam in Node, wllama in a real browser, web-llm where a WebGPU adapter and a model are at hand; a
 * fake that passes may be trusted in tests. No test library is used, so that the same file runs in a page.
 */
export interface ExamSubject {
  /** An engine that was never loaded. */
  open(): Engine;
  readonly weights: Blob;
  /** Files that are no model: another magic, and a model cut off. */
  readonly brokenWeights: readonly Blob[];
  readonly contextTokens: number;
  /** A prompt that the model answers with at least 30 tokens. */
  readonly prompt: string;
  /** Tokens to write: where a token takes half a minute, one or two must do. */
  readonly lengths?: ExamLengths;
  /**
   * A loaded engine for cases that are about something else than loading; {@link ENGINE_EXAM}'s own way is a fresh one each time. What is returned is
   * disposed of in vain.
   */
  loaded?(options: LoadOptions): Promise<Engine>;
  /** Takes the device away from under the engine that was loaded last; left out where there is none. */
  loseDevice?(): void;
}

export interface ExamLengths {
  readonly few: number;
  readonly some: number;
  readonly many: number;
  /** Enough for an answer to end by itself. */
  readonly whole: number;
}

const LENGTHS: ExamLengths = { few: 5, some: 20, many: 40, whole: 512 };

/**
 * What a subject must be for a case to show anything. `sense`: the model was trained; random weights write noise, whose text cuts into other tokens than it was
 * made of. `embeddings`: it has them. `exact`: it writes the same bytes whatever the batch. `room`: reading some hundred tokens takes no minutes. `device`: one
 * that can be lost.
 */
export type ExamNeed = 'sense' | 'embeddings' | 'exact' | 'room' | 'device';

export interface ExamCase {
  readonly title: string;
  readonly needs?: readonly ExamNeed[];
  run(subject: ExamSubject): Promise<void>;
}

const NEVER = new AbortController().signal;

const GREEDY: Sampling = { ...LIKELIEST, seed: 1, maxTokens: 60 };
const HOT: Sampling = { ...GREEDY, temperature: 1.5, seed: 11 };

function lengthsOf({ lengths }: ExamSubject): ExamLengths {
  return lengths ?? LENGTHS;
}

function greedily(subject: ExamSubject, length: keyof ExamLengths = 'many'): Sampling {
  return { ...GREEDY, maxTokens: lengthsOf(subject)[length] };
}

function sampled(subject: ExamSubject): Sampling {
  return { ...HOT, maxTokens: lengthsOf(subject).some };
}

function options(subject: ExamSubject, part: Partial<LoadOptions> = {}): LoadOptions {
  return { contextTokens: subject.contextTokens, threads: 1, batchTokens: 32, embeddings: false, ...part };
}

/** For cases that are not about loading. */
async function loaded(subject: ExamSubject, part: Partial<LoadOptions> = {}): Promise<Engine> {
  return subject.loaded?.(options(subject, part)) ?? fresh(subject, part);
}

async function fresh(subject: ExamSubject, part: Partial<LoadOptions> = {}): Promise<Engine> {
  const engine = subject.open();
  await engine.load(subject.weights, options(subject, part), NEVER);
  return engine;
}

interface Written {
  readonly text: string;
  readonly deltas: readonly Extract<GenerateEvent, { type: 'delta' }>[];
  readonly promptTokens: number | null;
  readonly end: Extract<GenerateEvent, { type: 'end' }>;
}

async function write(
  engine: Engine,
  prompt: string,
  sampling: Sampling,
  stop: readonly string[] = [],
): Promise<Written> {
  const events: GenerateEvent[] = [];
  for await (const event of engine.generate({ prompt, sampling, stop }, NEVER)) events.push(event);
  const deltas = events.filter((event) => event.type === 'delta');
  const end = events.at(-1);
  if (end?.type !== 'end') throw new Error('the last event is not the end');
  const announced = events[0]?.type === 'prompt' ? events[0].tokens : null;
  return { text: deltas.map((delta) => delta.text).join(''), deltas, promptTokens: announced, end };
}

function same(actual: unknown, expected: unknown, what: string): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
  }
}

function holds(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

async function failsWith(reason: EngineFailure, act: () => Promise<unknown>): Promise<void> {
  const cause = await act().then(
    () => null,
    (error: unknown) => error,
  );
  holds(cause instanceof EngineError && cause.reason === reason, `expected ${reason}, got ${String(cause)}`);
}

/** What came before the abort, and that the abort came out as one. */
async function stopAt(
  engine: Engine,
  prompt: string,
  sampling: Sampling,
  when: GenerateEvent['type'],
): Promise<GenerateEvent[]> {
  const abort = new AbortController();
  const events: GenerateEvent[] = [];
  try {
    for await (const event of engine.generate({ prompt, sampling, stop: [] }, abort.signal)) {
      events.push(event);
      if (event.type === when) abort.abort();
    }
  } catch (cause) {
    holds(isAbort(cause), `an abort came out as ${String(cause)}`);
    return events;
  }
  throw new Error('the abort was ignored');
}

/** The cases that a subject without these can sit; the others are to be named, not passed over. */
export function examWithout(lacking: readonly ExamNeed[]): {
  readonly sits: readonly ExamCase[];
  readonly leftOut: readonly ExamCase[];
} {
  const isLacking = ({ needs = [] }: ExamCase) => needs.some((need) => lacking.includes(need));
  return { sits: ENGINE_EXAM.filter((one) => !isLacking(one)), leftOut: ENGINE_EXAM.filter(isLacking) };
}

export const ENGINE_EXAM: readonly ExamCase[] = [
  {
    title: 'loads a model and says what it is',
    async run(subject) {
      const engine = subject.open();
      const model = await engine.load(subject.weights, options(subject), NEVER);
      same(model.contextTokens, subject.contextTokens, 'context');
      holds(model.vocabularySize > 1, 'vocabulary');
      await engine.dispose();
    },
  },
  {
    title: 'streams piece by piece, with exact counts of tokens',
    async run(subject) {
      const engine = await loaded(subject);
      const { some } = lengthsOf(subject);
      const { deltas, promptTokens, end } = await write(engine, subject.prompt, greedily(subject, 'some'));
      holds(deltas.length > some / 4, `only ${deltas.length} pieces`);
      same(end.finish, 'length', 'finish');
      same(end.completionTokens, some, 'tokens written');
      same(
        deltas.reduce((sum, delta) => sum + delta.tokens, 0),
        some,
        'sum of the pieces',
      );
      same(promptTokens, end.promptTokens, 'prompt tokens, before and after');
      await engine.dispose();
    },
  },
  {
    title: 'counts the token that ends an answer',
    async run(subject) {
      const engine = await loaded(subject);
      const { deltas, end } = await write(engine, subject.prompt, greedily(subject, 'whole'));
      const streamed = deltas.reduce((sum, delta) => sum + delta.tokens, 0);
      same(end.finish === 'stop' ? end.completionTokens - 1 : end.completionTokens, streamed, 'tokens streamed');
      await engine.dispose();
    },
  },
  {
    title: 'writes the same for the same seed, another text for another seed, and ignores the seed when greedy',
    async run(subject) {
      const engine = await loaded(subject);
      const first = await write(engine, subject.prompt, sampled(subject));
      const other = await write(engine, subject.prompt, { ...sampled(subject), seed: 12 });
      const again = await write(engine, subject.prompt, sampled(subject));
      same(again.text, first.text, 'same seed');
      holds(other.text !== first.text, 'another seed wrote the same');
      const greedy = await write(engine, subject.prompt, greedily(subject, 'some'));
      const greedyAgain = await write(engine, subject.prompt, { ...greedily(subject, 'some'), seed: 99 });
      same(greedyAgain.text, greedy.text, 'greedy');
      await engine.dispose();
    },
  },
  {
    title: 'writes the same after other work, in a fresh engine, and with another batch size',
    needs: ['exact', 'room'],
    async run(subject) {
      const engine = await fresh(subject);
      const first = await write(engine, subject.prompt, sampled(subject));
      await engine.dispose();
      for (const batchTokens of [8, 64]) {
        const other = await fresh(subject, { batchTokens });
        await write(other, `${subject.prompt} and something else`, sampled(subject));
        same((await write(other, subject.prompt, sampled(subject))).text, first.text, `batch of ${batchTokens}`);
        await other.dispose();
      }
    },
  },
  {
    title: 'stops in decode when aborted, and serves the next request',
    async run(subject) {
      const engine = await loaded(subject);
      const events = await stopAt(engine, subject.prompt, greedily(subject), 'delta');
      holds(!events.some((event) => event.type === 'end'), 'it went on to the end');
      same(
        (await write(engine, subject.prompt, greedily(subject, 'few'))).end.completionTokens,
        lengthsOf(subject).few,
        'the next request',
      );
      await engine.dispose();
    },
  },
  {
    title: 'stops in prefill when aborted, before any text, and serves the next request',
    async run(subject) {
      const engine = await loaded(subject, { batchTokens: 8 });
      const long = Array.from({ length: 40 }, (_, i) => `${subject.prompt} ${i}`)
        .join(' ')
        .slice(0, subject.contextTokens * 2);
      const events = await stopAt(engine, long, greedily(subject), 'prompt');
      same(
        events.map((event) => event.type),
        ['prompt'],
        'events before the abort',
      );
      same(
        (await write(engine, subject.prompt, greedily(subject, 'few'))).end.completionTokens,
        lengthsOf(subject).few,
        'the next request',
      );
      await engine.dispose();
    },
  },
  {
    title: 'stops when its reader leaves the loop',
    async run(subject) {
      const engine = await loaded(subject);
      for await (const event of engine.generate(
        { prompt: subject.prompt, sampling: greedily(subject), stop: [] },
        NEVER,
      )) {
        if (event.type === 'delta') break;
      }
      same(
        (await write(engine, subject.prompt, greedily(subject, 'few'))).end.completionTokens,
        lengthsOf(subject).few,
        'the next request',
      );
      await engine.dispose();
    },
  },
  {
    title: 'refuses a request that was aborted before it began',
    async run(subject) {
      const engine = await loaded(subject);
      const aborted = AbortSignal.abort();
      const run = engine.generate({ prompt: subject.prompt, sampling: greedily(subject), stop: [] }, aborted).next();
      holds(await run.then(() => false, isAbort), 'it began');
      await engine.dispose();
    },
  },
  {
    title: 'continues a greedy answer from its text',
    needs: ['sense'],
    async run(subject) {
      const engine = await loaded(subject);
      const whole = await write(engine, subject.prompt, { ...GREEDY, maxTokens: 24 });
      const words = whole.text.split(' ');
      const written = words.slice(0, Math.floor(words.length / 2)).join(' ');
      const rest = await write(engine, subject.prompt + written, { ...GREEDY, maxTokens: 6 });
      holds(whole.text.slice(written.length).startsWith(rest.text), `went on with '${rest.text}' after '${written}'`);
      await engine.dispose();
    },
  },
  {
    title: 'ends at a stop string and leaves it out',
    async run(subject) {
      const engine = await loaded(subject);
      const whole = await write(engine, subject.prompt, greedily(subject));
      const stop = whole.deltas.at(whole.deltas.length >> 1)?.text.trim() ?? '';
      const cut = await write(engine, subject.prompt, greedily(subject), [stop]);
      same(cut.end.finish, 'stop', 'finish');
      holds(!cut.text.includes(stop) && whole.text.startsWith(cut.text), `wrote '${cut.text}'`);
      await engine.dispose();
    },
  },
  {
    title: 'runs two requests one after the other',
    async run(subject) {
      const engine = await loaded(subject);
      const [first, second] = await Promise.all([
        write(engine, subject.prompt, sampled(subject)),
        write(engine, subject.prompt, sampled(subject)),
      ]);
      same(first.text, second.text, 'both');
      await engine.dispose();
    },
  },
  {
    title: 'refuses a prompt that does not fit the context',
    async run(subject) {
      const engine = await loaded(subject);
      const long = 'word '.repeat(subject.contextTokens * 4);
      await failsWith('context_exceeded', () => write(engine, long, greedily(subject)));
      same(
        (await write(engine, subject.prompt, greedily(subject, 'few'))).end.completionTokens,
        lengthsOf(subject).few,
        'the next request',
      );
      await engine.dispose();
    },
  },
  {
    title: 'ends with length where the context ends',
    needs: ['room'],
    async run(subject) {
      const engine = await fresh(subject, { contextTokens: 256 });
      const once = await write(engine, subject.prompt, { ...GREEDY, maxTokens: 1 });
      const almostFull = subject.prompt.repeat(Math.floor(250 / once.end.promptTokens));
      const { end } = await write(engine, almostFull, { ...HOT, maxTokens: 500 });
      same(end.finish, 'length', 'finish');
      holds(
        end.promptTokens + end.completionTokens <= 257,
        `${end.promptTokens} + ${end.completionTokens} tokens in a context of 256`,
      );
      await engine.dispose();
    },
  },
  {
    title: 'embeds a text as a unit vector, the same each time, when loaded for it',
    needs: ['embeddings'],
    async run(subject) {
      const engine = await fresh(subject, { embeddings: true });
      const [{ vector: a, tokens }, { vector: b }, { vector: c }] = [
        await engine.embed('a cup of tea', NEVER),
        await engine.embed('a cup of tea', NEVER),
        await engine.embed('the blue sky', NEVER),
      ];
      holds(tokens > 0 && tokens < 20, `${tokens} tokens`);
      same([...a], [...b], 'same text');
      holds(
        [...a].some((x, i) => x !== c[i]),
        'another text has the same vector',
      );
      const norm = Math.hypot(...a);
      holds(Math.abs(norm - 1) < 1e-3, `norm ${norm}`);
      await engine.dispose();
    },
  },
  {
    title: 'refuses to embed a text that is longer than a batch, and embeds the next',
    needs: ['embeddings'],
    async run(subject) {
      const engine = await fresh(subject, { embeddings: true });
      await failsWith('context_exceeded', () => engine.embed('word '.repeat(200), NEVER));
      const { vector } = await engine.embed('a cup of tea', NEVER);
      holds(vector.every(Number.isFinite), 'the next text');
      await engine.dispose();
    },
  },
  {
    title: 'refuses to embed when it was not loaded for it',
    async run(subject) {
      const engine = await loaded(subject);
      await failsWith('unsupported', () => engine.embed('x', NEVER));
      await engine.dispose();
    },
  },
  {
    title: 'names the likeliest next tokens, best first, and the best is the one that greedy writing takes',
    async run(subject) {
      const engine = await loaded(subject);
      const { deltas } = await write(engine, subject.prompt, greedily(subject, 'few'));
      let written = '';
      for (const { text, tokens } of deltas) {
        if (text.includes('\ufffd')) break; // A token that is a part of a character.
        const { candidates } = await engine.probe({ text: subject.prompt + written, choices: [] }, NEVER);
        holds(candidates.length > 0 && candidates.length <= PROBE_CANDIDATES, `${candidates.length} candidates`);
        if (tokens === 1) same(candidates[0]?.text, text, `the best after '${written}'`);
        const figures = candidates.map(({ logProbability }) => logProbability);
        same(
          figures,
          figures.toSorted((a, b) => b - a),
          'order',
        );
        const total = figures.reduce((sum, figure) => sum + Math.exp(figure), 0);
        holds(total > 0 && total < 1 + 1e-3, `probabilities add up to ${total}`);
        written += text;
      }
      await engine.dispose();
    },
  },
  {
    title: 'gives the log-probability of words that it would not write',
    async run(subject) {
      const engine = await loaded(subject);
      const { candidates } = await engine.probe({ text: subject.prompt, choices: [] }, NEVER);
      const best = candidates.find(({ text }) => text !== '');
      holds(best !== undefined, 'no candidate');
      const choices = [best?.text ?? '', 'Yes', 'No', '"\\\n'];
      const asked = await engine.probe({ text: subject.prompt, choices }, NEVER);
      same(asked.choices.length, choices.length, 'figures');
      holds(Math.abs((asked.choices[0] ?? 0) - (best?.logProbability ?? 1)) < 1e-3, `best: ${asked.choices[0]}`);
      for (const figure of asked.choices) holds(figure <= 0 && Number.isFinite(figure), `log-probability ${figure}`);
      same(new Set(asked.choices).size > 1, true, 'different figures for different words');
      await engine.dispose();
    },
  },
  {
    title: 'is forced to write an answer, and would have written its own greedy one anyway',
    needs: ['sense'],
    async run(subject) {
      const engine = await loaded(subject);
      const own = await write(engine, subject.prompt, { ...GREEDY, maxTokens: 20 });
      const steps = await engine.force({ prompt: subject.prompt, answer: own.text }, NEVER);
      same(steps.map(({ text }) => text).join(''), own.text, 'text');
      same(steps.at(-1)?.text, '', 'the last entry');
      for (const { text, logProbability, candidates } of steps.slice(0, -1)) {
        same({ text, logProbability }, candidates[0], `instead of '${text}'`);
      }
      const [first, ...rest] = own.text.trim().split(' ');
      const edited = own.text.replace(rest.join(' '), ['xylophone', ...rest].join(' '));
      holds(edited !== own.text && first !== '', 'nothing was edited');
      const forced = await engine.force({ prompt: subject.prompt, answer: edited }, NEVER);
      same(forced.map(({ text }) => text).join(''), edited, 'edited text');
      const gaps = forced.map((step) => (step.candidates[0]?.logProbability ?? 0) - step.logProbability);
      holds(Math.max(...gaps) > 2, `largest gap ${Math.max(...gaps)}`);
      await engine.dispose();
    },
  },
  {
    title: 'is forced to write nothing, and says what ends an answer',
    async run(subject) {
      const engine = await loaded(subject);
      const steps = await engine.force({ prompt: subject.prompt, answer: '' }, NEVER);
      same(
        steps.map(({ text }) => text),
        [''],
        'steps',
      );
      holds((steps[0]?.logProbability ?? 1) < 0, 'the end has a log-probability');
      await engine.dispose();
    },
  },
  {
    title: 'is forced through characters of several tokens, or says that it cannot, and goes on with other work',
    async run(subject) {
      const engine = await loaded(subject);
      const answer = 'A 🦈 and 水, "quoted".\nEnd';
      const outcome = await engine.force({ prompt: subject.prompt, answer }, NEVER).then(
        (steps) => steps.map(({ text }) => text).join('') === answer,
        (cause: unknown) => cause instanceof EngineError && cause.reason === 'unsupported',
      );
      holds(outcome, 'another text, or another error');
      same((await engine.force({ prompt: subject.prompt, answer: 'A "\\"\n' }, NEVER)).at(-1)?.text, '', 'afterwards');
      await engine.dispose();
    },
  },
  {
    title: 'settles when aborted in the middle of a forced decode, and serves the next request',
    async run(subject) {
      const engine = await loaded(subject, { batchTokens: 8 });
      const abort = new AbortController();
      const answer = 'the small fish write answers and '.repeat(12);
      const forced = engine.force({ prompt: subject.prompt, answer }, abort.signal);
      setTimeout(() => abort.abort(), 5);
      // An engine that was done before is as good as one that stopped.
      holds(await forced.then(() => true, isAbort), 'the abort came out as something else');
      same(
        (await write(engine, subject.prompt, greedily(subject, 'few'))).end.completionTokens,
        lengthsOf(subject).few,
        'afterwards',
      );
      await engine.dispose();
    },
  },
  {
    title: 'refuses a forced answer that does not fit the context, and what was aborted before it began',
    async run(subject) {
      const engine = await loaded(subject);
      const long = 'word '.repeat(subject.contextTokens * 4);
      await failsWith('context_exceeded', () => engine.force({ prompt: subject.prompt, answer: long }, NEVER));
      const aborted = engine.probe({ text: subject.prompt, choices: [] }, AbortSignal.abort());
      holds(await aborted.then(() => false, isAbort), 'an aborted probe ran');
      const abortedForce = engine.force({ prompt: subject.prompt, answer: 'x' }, AbortSignal.abort());
      holds(await abortedForce.then(() => false, isAbort), 'an aborted decode ran');
      same(
        (await write(engine, subject.prompt, greedily(subject, 'few'))).end.completionTokens,
        lengthsOf(subject).few,
        'afterwards',
      );
      await engine.dispose();
    },
  },
  {
    title: 'gives up everything when disposed, and can be loaded again',
    async run(subject) {
      const engine = await fresh(subject);
      const first = await write(engine, subject.prompt, sampled(subject));
      await engine.dispose();
      await engine.dispose();
      await failsWith('not_loaded', () => write(engine, subject.prompt, greedily(subject)));
      await failsWith('not_loaded', () => engine.probe({ text: subject.prompt, choices: [] }, NEVER));
      await failsWith('not_loaded', () => engine.force({ prompt: subject.prompt, answer: 'x' }, NEVER));
      await engine.load(subject.weights, options(subject), NEVER);
      same((await write(engine, subject.prompt, sampled(subject))).text, first.text, 'after loading again');
      await engine.dispose();
    },
  },
  {
    title: 'ends a running request when disposed',
    async run(subject) {
      const engine = await fresh(subject);
      const run = engine.generate({ prompt: subject.prompt, sampling: greedily(subject, 'whole'), stop: [] }, NEVER);
      await run.next();
      await run.next();
      await engine.dispose();
      const outcome = (async () => {
        for (;;) if ((await run.next()).done) return;
      })();
      await outcome.catch(() => undefined);
      await failsWith('not_loaded', () => write(engine, subject.prompt, greedily(subject)));
    },
  },
  {
    title: 'says load_failed for files that are no model, and loads a good one afterwards',
    async run(subject) {
      const engine = subject.open();
      for (const broken of subject.brokenWeights) {
        await failsWith('load_failed', () => engine.load(broken, options(subject), NEVER));
        await failsWith('not_loaded', () => write(engine, subject.prompt, greedily(subject)));
      }
      await engine.load(subject.weights, options(subject), NEVER);
      same(
        (await write(engine, subject.prompt, greedily(subject, 'few'))).end.completionTokens,
        lengthsOf(subject).few,
        'the good one',
      );
      await engine.dispose();
    },
  },
  {
    title: 'says crashed when the device is lost, and can be loaded again',
    needs: ['device'],
    async run(subject) {
      const engine = await fresh(subject);
      subject.loseDevice?.();
      await failsWith('crashed', () => write(engine, subject.prompt, greedily(subject, 'few')));
      await engine.load(subject.weights, options(subject), NEVER);
      same((await write(engine, subject.prompt, greedily(subject, 'few'))).end.finish, 'length', 'afterwards');
      await engine.dispose();
    },
  },
  {
    title: 'stops loading when aborted',
    async run(subject) {
      const engine = subject.open();
      const abort = new AbortController();
      const load = engine.load(subject.weights, options(subject), abort.signal);
      abort.abort();
      holds(await load.then(() => true, isAbort), 'the abort came out as something else');
      await engine.load(subject.weights, options(subject), NEVER);
      await engine.dispose();
    },
  },
];
