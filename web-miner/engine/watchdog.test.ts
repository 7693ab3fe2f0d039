import { describe, expect, it } from 'vitest';
import { LIKELIEST } from '../../shared/protocol/lease.ts';
import { EngineError, type GenerateEvent } from './engine.ts';
import { ENGINE_EXAM, type ExamSubject } from './engine-exam.ts';
import { ScriptedEngine } from './scripted-engine.ts';
import { type EngineDeadlines, Watchdog } from './watchdog.ts';

const NEVER = new AbortController().signal;
const OPTIONS = { contextTokens: 512, threads: 1, batchTokens: 16, embeddings: true };
const WEIGHTS = new Blob(['GGUF']);
const REQUEST = { prompt: 'What is tea?', sampling: { ...LIKELIEST, maxTokens: 20 }, stop: [] };
/** Long enough for a scripted engine on a busy machine; each test waits for one of them. */
const SHORT: EngineDeadlines = {
  loadMs: 200,
  firstTokenMs: 200,
  nextTokenMs: 200,
  wholeMs: 200,
  abortMs: 100,
  disposeMs: 50,
};

type Place = 'load' | 'prefill' | 'decode' | 'embed' | 'probe' | 'force' | 'dispose' | 'rest';
const forEver = () => new Promise<never>(() => undefined);

/** Hangs at one place, and is deaf to every abort there. */
class HangingEngine extends ScriptedEngine {
  readonly #place: Place | null;
  disposals = 0;
  #isLoaded = false;

  constructor(place: Place | null) {
    super();
    this.#place = place;
  }

  override async load(...args: Parameters<ScriptedEngine['load']>) {
    if (this.#place === 'load') return forEver();
    const loaded = await super.load(...args);
    this.#isLoaded = true;
    return loaded;
  }
  override async *generate(...args: Parameters<ScriptedEngine['generate']>) {
    try {
      for await (const event of super.generate(args[0], NEVER)) {
        if (this.#place === 'prefill' && event.type === 'delta') await forEver();
        yield event;
        if (this.#place === 'decode' && event.type === 'delta') await forEver();
      }
    } finally {
      if (this.#place === 'rest') await forEver();
    }
  }
  override embed(...args: Parameters<ScriptedEngine['embed']>) {
    return this.#place === 'embed' ? forEver() : super.embed(...args);
  }
  override probe(...args: Parameters<ScriptedEngine['probe']>) {
    return this.#place === 'probe' ? forEver() : super.probe(...args);
  }
  override force(...args: Parameters<ScriptedEngine['force']>) {
    return this.#place === 'force' ? forEver() : super.force(...args);
  }
  override dispose(): Promise<void> {
    this.disposals++;
    return this.#place === 'dispose' && this.#isLoaded ? forEver() : super.dispose();
  }
}

/** The first engine hangs at a place, those after it work. */
function watched(place: Place, deadlines: EngineDeadlines = SHORT) {
  const opened: HangingEngine[] = [];
  const ended: EngineError[] = [];
  const open = () => {
    const engine = new HangingEngine(opened.length === 0 ? place : null);
    opened.push(engine);
    return engine;
  };
  const watchdog = new Watchdog(open, { deadlines, onEnded: (why) => ended.push(why) });
  return { watchdog, opened, ended };
}

async function write(watchdog: Watchdog, signal = NEVER, onEvent: (event: GenerateEvent) => void = () => undefined) {
  for await (const event of watchdog.generate(REQUEST, signal)) onEvent(event);
}

async function worksAgain(watchdog: Watchdog): Promise<void> {
  await watchdog.load(WEIGHTS, OPTIONS, NEVER);
  const events: GenerateEvent['type'][] = [];
  await write(watchdog, NEVER, ({ type }) => events.push(type));
  expect(events.at(-1)).toBe('end');
}

const subject: ExamSubject = {
  open: () => new Watchdog(() => new ScriptedEngine()),
  weights: new Blob(['GGUF and nothing else']),
  brokenWeights: [new Blob(['not a model'])],
  contextTokens: 512,
  prompt: 'tell me about the shoal',
};

describe('an engine under watch', () => {
  it.each(ENGINE_EXAM.filter(({ needs = [] }) => !needs.includes('device')))('$title', ({ run }) => run(subject));

  it('that hangs while it loads is ended, and another one is loaded', async () => {
    const { watchdog, opened } = watched('load');
    await expect(watchdog.load(WEIGHTS, OPTIONS, NEVER)).rejects.toEqual(
      new EngineError('load_failed', 'The engine did not start within 0.2 s.'),
    );
    expect(opened.map(({ disposals }) => disposals)).toEqual([1]);
    await worksAgain(watchdog);
    expect(opened).toHaveLength(2);
  });

  it.each([
    ['prefill', 'The engine did not begin to write within 0.2 s.'],
    ['decode', 'The engine stopped in the middle of an answer and wrote nothing within 0.2 s.'],
  ] as const)(
    'that hangs in %s is ended: the request fails with the reason, the next finds no model, and a fresh engine works',
    async (place, message) => {
      const { watchdog, opened } = watched(place);
      await watchdog.load(WEIGHTS, OPTIONS, NEVER);
      await expect(write(watchdog)).rejects.toEqual(new EngineError('crashed', message));
      await expect(write(watchdog)).rejects.toMatchObject({ reason: 'not_loaded' });
      await worksAgain(watchdog);
      expect(opened).toHaveLength(2);
    },
  );

  it.each([
    ['embed', (dog: Watchdog) => dog.embed('tea', NEVER), 'The engine did not embed the text within 0.2 s.'],
    [
      'probe',
      (dog: Watchdog) => dog.probe({ text: 'tea', choices: [] }, NEVER),
      'The engine did not name the next words within 0.2 s.',
    ],
    [
      'force',
      (dog: Watchdog) => dog.force({ prompt: 'tea', answer: 'is hot' }, NEVER),
      'The engine did not read the answer within 0.2 s.',
    ],
  ] as const)('that hangs in %s is ended', async (place, act, message) => {
    const { watchdog } = watched(place);
    await watchdog.load(WEIGHTS, OPTIONS, NEVER);
    await expect(act(watchdog)).rejects.toEqual(new EngineError('crashed', message));
    await worksAgain(watchdog);
  });

  it.each(['prefill', 'decode', 'embed', 'probe', 'force', 'load'] as const)(
    'that is deaf to an abort in %s is ended',
    async (place) => {
      const { watchdog, opened } = watched(place, {
        ...SHORT,
        loadMs: 60_000,
        firstTokenMs: 60_000,
        nextTokenMs: 60_000,
        wholeMs: 60_000,
      });
      const stop = new AbortController();
      const acts = {
        load: () => watchdog.load(WEIGHTS, OPTIONS, stop.signal),
        embed: () => watchdog.embed('tea', stop.signal),
        probe: () => watchdog.probe({ text: 'tea', choices: [] }, stop.signal),
        force: () => watchdog.force({ prompt: 'tea', answer: 'is hot' }, stop.signal),
        prefill: () => write(watchdog, stop.signal),
        decode: () => write(watchdog, stop.signal),
      };
      if (place !== 'load') await watchdog.load(WEIGHTS, OPTIONS, NEVER);
      const act = acts[place]();
      setTimeout(() => stop.abort(), 20);
      await expect(act).rejects.toEqual(new EngineError('crashed', 'The engine did not stop within 0.1 s.'));
      await worksAgain(watchdog);
      expect(opened).toHaveLength(2);
    },
  );

  it('that does not rest when its reader leaves is ended, and whoever owns it is told', async () => {
    const { watchdog, ended } = watched('rest');
    await watchdog.load(WEIGHTS, OPTIONS, NEVER);
    for await (const event of watchdog.generate(REQUEST, NEVER)) if (event.type === 'delta') break;
    expect(ended).toEqual([new EngineError('crashed', 'The engine did not stop within 0.1 s.')]);
    await worksAgain(watchdog);
  });

  it('that does not let go of its memory is left behind, and another one is loaded', async () => {
    const { watchdog, opened } = watched('dispose');
    await watchdog.dispose();
    await watchdog.load(WEIGHTS, OPTIONS, NEVER);
    await watchdog.dispose();
    await worksAgain(watchdog);
    expect(opened).toHaveLength(2);
  });

  it('does not make a request wait for more than its turn: a deadline begins with the work', async () => {
    const slow = new Watchdog(() => new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 15 }), {
      deadlines: { ...SHORT, firstTokenMs: 250 },
    });
    await slow.load(WEIGHTS, OPTIONS, NEVER);
    await Promise.all([write(slow), write(slow), write(slow)]); // Each takes longer than the deadline of the first word.
  });
});
