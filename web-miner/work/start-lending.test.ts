import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import embedded from '../../models/embedded/catalogue.json' with { type: 'json' };
import { TEST_SAMPLING, TestNetwork, until } from '../../router-worker/testing/network.ts';
import { toHex } from '../../shared/bytes.ts';
import {
  CATALOGUE_PATH,
  type Catalogue,
  chatFormOf,
  everyClass,
  SENTENCE_EMBEDDING_PATH,
  servedVariants,
} from '../../shared/classes/catalogue.ts';
import { SELF_TESTS_PATH, type SelfTests } from '../../shared/classes/self-tests.ts';
import { NO_LINKS } from '../../shared/peer/direct-links.ts';
import { CLOSE } from '../../shared/protocol/tab-socket.ts';
import { DEFAULT_BUDGET } from '../budget/budget-settings.ts';
import { dayOf, NO_DATA } from '../budget/data-meter.ts';
import { QUIET_PAGE } from '../budget/work-gate.ts';
import { abortError, EngineError } from '../engine/engine.ts';
import { promptRenderer } from '../engine/render-prompt.ts';
import { ScriptedEngine } from '../engine/scripted-engine.ts';
import { createStoredIdentity, identityFrom, type TabIdentity } from '../identity/tab-identity.ts';
import { MemoryCaches } from '../testing/memory-caches.ts';
import { Lending, type LendingOptions, type LendingPhase, type Serving } from './start-lending.ts';

type PoolSocket = Parameters<TestNetwork['pool']['greet']>[0];

let network: TestNetwork;

/** The browser's socket, with the pool at its other end. */
class PoolWebSocket {
  static readonly OPEN = 1;
  static last: PoolWebSocket | null = null;
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { readonly data: string | ArrayBuffer }) => void) | null = null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null = null;
  readonly #far: PoolSocket = {
    send: (data) =>
      void setTimeout(() => this.onmessage?.({ data: typeof data === 'string' ? data : data.slice().buffer })),
    close: (code, reason) => void setTimeout(() => this.ends(code, reason)),
    remember: () => undefined,
  };

  constructor() {
    PoolWebSocket.last = this;
    setTimeout(() => {
      this.readyState = PoolWebSocket.OPEN;
      this.onopen?.();
      network.pool.greet(this.#far, 'home');
    });
  }

  send(data: string | Uint8Array<ArrayBuffer>): void {
    const copy = typeof data === 'string' ? data : data.slice().buffer;
    setTimeout(() => void network.pool.receive(this.#far, copy));
  }

  close(code = 1000): void {
    setTimeout(() => this.ends(code, '')); // After what was sent before.
  }

  ends(code: number, reason: string): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    network.pool.closed(this.#far, code);
    this.onclose?.({ code, reason });
  }
}

const WEIGHTS = 'GGUF';

async function tinyCatalogue(): Promise<Catalogue> {
  const bytes = new TextEncoder().encode(WEIGHTS);
  const sha256 = toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
  const piece = { sha256, bytes: bytes.byteLength };
  const [model] = (embedded as Catalogue).models;
  const [variant] = model!.variants;
  const files = [{ name: 'tiny.gguf', bytes: piece.bytes, mirrors: [] }];
  const weights = { ...variant!.weights, ...piece, pieces: [piece], files };
  return { v: 2, models: [{ ...model!, variants: [{ ...variant!, weights }] }] };
}

class WatchedEngine extends ScriptedEngine {
  loads = 0;
  disposals = 0;
  /** What every generation after the warm-up throws; null: it works. */
  fault: EngineError | null = null;
  cannotLoad = false;

  override async load(...args: Parameters<ScriptedEngine['load']>) {
    this.loads++;
    if (this.cannotLoad) throw new EngineError('load_failed', 'There is no memory left.');
    return super.load(...args);
  }
  override async *generate(...args: Parameters<ScriptedEngine['generate']>) {
    if (this.fault !== null) throw this.fault;
    yield* super.generate(...args);
  }
  override dispose(): Promise<void> {
    this.disposals++;
    return super.dispose();
  }
}

async function lend(
  identity: TabIdentity,
  options: Partial<LendingOptions> = {},
  engine: WatchedEngine = new WatchedEngine(),
) {
  const phases: LendingPhase[] = [];
  const lending = new Lending({
    origin: 'http://localhost',
    model: 'shoal-pup-3m',
    direct: false,
    identity,
    engineFor: () => engine,
    links: () => NO_LINKS,
    onPhase: (phase) => phases.push(phase),
    ...options,
  });
  const last = () => phases.at(-1);
  await lending.run();
  await until(() => {
    const phase = last();
    return phase?.phase === 'serving' && phase.tab.tab !== null;
  }, 'the tab serves');
  return { lending, engine, phases, last };
}

async function ask(): Promise<unknown> {
  const [served] = await servedVariants(await tinyCatalogue());
  const variants = [{ model: served!.model.id, variant: served!.variant.id, class: served!.class }];
  return network.ask('hello', { level: 'none', variants });
}

describe('lending a tab', () => {
  let identity: TabIdentity;
  beforeEach(async () => {
    network = await TestNetwork.create();
    identity = identityFrom(await createStoredIdentity());
    const catalogue = JSON.stringify(await tinyCatalogue());
    const table = await readFile(
      new URL('../../models/embedded/sentence-embedding/shoal-embed-64.bin', import.meta.url),
    );
    vi.stubGlobal('WebSocket', PoolWebSocket);
    vi.stubGlobal('fetch', async (url: URL | string) => {
      const { pathname } = new URL(url);
      if (pathname === CATALOGUE_PATH) return new Response(catalogue);
      return new Response(pathname === SENTENCE_EMBEDDING_PATH ? table : WEIGHTS);
    });
  });
  afterEach(() => vi.unstubAllGlobals());

  it('leads from a click to serving, and ends when it is stopped', async () => {
    const { lending, engine, phases, last } = await lend(identity);
    const seen = [...new Set(phases.map(({ phase }) => phase))];
    expect(seen).toEqual(['preparing', 'downloading', 'loading', 'testing', 'joining', 'serving']);
    expect(await ask()).toMatchObject({ verdict: { verdict: { reason: 'not_asked' } } });
    await lending.stop();
    expect(last()).toEqual({ phase: 'stopped' });
    expect(engine.disposals).toBeGreaterThan(1);
    await until(() => network.pool.census().length === 0, 'the router knows that it left');
  });

  it('[L2] ends in the older tab when a newer one of the same identity takes over: it says so and frees its engine', async () => {
    const older = await lend(identity);
    const before = older.engine.disposals;
    const newer = await lend(identity);
    await until(() => older.last()?.phase === 'failed', 'the older tab is told');
    expect(older.last()).toMatchObject({ reason: 'Another tab of this browser took over.' });
    await until(() => older.engine.disposals > before, 'the engine is given back');
    expect(newer.last()?.phase).toBe('serving');
    expect(network.pool.census()).toMatchObject([{ tabs: 1 }]);
    await newer.lending.stop();
  });

  it('comes back when the router found the socket dead, and stays away when it is refused', async () => {
    const { engine, last } = await lend(identity);
    PoolWebSocket.last?.ends(CLOSE.late, 'late');
    await until(() => last()?.phase === 'serving' && network.pool.census().length === 1, 'the tab is back');
    await until(() => {
      const phase = last();
      return phase?.phase === 'serving' && phase.tab.tab !== null;
    }, 'the tab is welcome');
    const before = engine.disposals;
    PoolWebSocket.last?.ends(CLOSE.protocol, 'invalid_value');
    await until(() => last()?.phase === 'failed', 'the page says so');
    expect(last()).toMatchObject({ reason: expect.stringContaining('invalid_value') });
    await until(() => engine.disposals > before, 'the engine is given back');
  });

  it.each(['crashed', 'not_loaded'] as const)('loads an engine that %s again, and serves on', async (reason) => {
    const { lending, engine } = await lend(identity);
    engine.fault = new EngineError(reason, 'The engine broke down.');
    await expect(ask()).rejects.toMatchObject({ code: 'engine_failed' });
    engine.fault = null;
    await until(() => engine.loads === 2 && network.pool.census().length === 1, 'the tab serves again');
    expect(await ask()).toMatchObject({ verdict: { verdict: { reason: 'not_asked' } } });
    await lending.stop();
  });

  it('leaves, with a reason and a next step, when the engine breaks down again before anything was done', async () => {
    const { engine, last } = await lend(identity);
    engine.fault = new EngineError('crashed', 'The engine broke down.');
    await expect(ask()).rejects.toMatchObject({ code: 'engine_failed' });
    await until(() => network.pool.census().length === 1, 'the tab serves again');
    await expect(ask()).rejects.toMatchObject({ code: 'engine_failed' });
    await until(() => last()?.phase === 'failed', 'the page says so');
    expect(last()).toMatchObject({ reason: 'The engine broke down.', next: expect.stringContaining('start again') });
    expect(engine.loads).toBe(2);
    await until(() => network.pool.census().length === 0, 'the router knows that it left');
    await expect(ask()).rejects.toMatchObject({ code: 'no_tab' });
  });

  it('says that it serves only after the router said welcome', async () => {
    const { lending, phases } = await lend(identity);
    expect(phases.filter((phase) => phase.phase === 'serving').every(({ tab }) => tab.tab !== null)).toBe(true);
    await lending.stop();
  });

  it('says on the page why it does not begin when the engine hangs while it loads', async () => {
    const phases: LendingPhase[] = [];
    const engineFor = () => {
      const engine = new HangingEngine();
      engine.hangsAt = 'load';
      return engine;
    };
    const options = { origin: 'http://localhost', model: 'shoal-pup-3m', direct: false, identity };
    await new Lending({
      ...options,
      engineFor,
      deadlines: SHORT,
      links: () => NO_LINKS,
      onPhase: (phase) => phases.push(phase),
    }).run();
    expect(phases.at(-1)).toMatchObject({
      phase: 'failed',
      reason: 'The engine did not start within 0.5 s.',
      next: expect.stringContaining('start again'),
    });
  });

  it.each(['prefill', 'decode'] as const)(
    '[I1] ends an engine that hangs in %s: the lease is given back, another engine serves, and when that hangs too the page says so',
    async (place) => {
      const engines: HangingEngine[] = [];
      const engineFor = () => {
        engines.push(new HangingEngine());
        return engines.at(-1)!;
      };
      const { last } = await lend(identity, { engineFor, deadlines: SHORT });
      engines[0]!.hangsAt = place;
      const failure = { code: place === 'prefill' ? 'engine_failed' : expect.stringMatching(/engine_failed|tab_lost/) };
      await expect(ask()).rejects.toMatchObject(failure);
      await until(() => network.pool.census().length === 1 && engines.length === 2, 'another engine serves');
      expect(engines[0]!.disposals).toBeGreaterThan(1);
      engines[1]!.hangsAt = place;
      await expect(ask()).rejects.toMatchObject(failure);
      await until(() => last()?.phase === 'failed', 'the page says so');
      expect(last()).toMatchObject({ reason: expect.stringMatching(/^The engine .* within 0.5 s.$/) });
      await until(() => network.pool.census().length === 0, 'the router knows that it left');
    },
  );

  it('ends an engine that does not stop when it is told to, and serves with another one', async () => {
    const engines: HangingEngine[] = [];
    const engineFor = () => {
      engines.push(new HangingEngine());
      return engines.at(-1)!;
    };
    const { lending, last } = await lend(identity, { engineFor, deadlines: { ...LONG, abortMs: 100, disposeMs: 100 } });
    engines[0]!.hangsAt = 'abort';
    const asked = ask();
    await until(() => last()?.phase === 'serving' && (last() as Serving).tab.working === 'answer', 'it works');
    lending.see({ ...QUIET_PAGE, isAway: true }); // Its work is stopped.
    await expect(asked).rejects.toMatchObject({ code: expect.stringMatching(/tab_lost|no_tab|engine_failed/) });
    lending.see(QUIET_PAGE);
    await until(() => engines.length === 2 && network.pool.census().length === 1, 'another engine serves');
    expect(await ask()).toMatchObject({ verdict: { verdict: { reason: 'not_asked' } } });
    await lending.stop();
  });

  it('leaves when the engine cannot be loaded again', async () => {
    const { engine, last } = await lend(identity);
    engine.cannotLoad = true;
    engine.fault = new EngineError('not_loaded', 'No model is loaded.');
    await expect(ask()).rejects.toMatchObject({ code: 'engine_failed' });
    await until(() => last()?.phase === 'failed', 'the page says so');
    expect(last()).toMatchObject({ reason: 'There is no memory left.' });
    await until(() => network.pool.census().length === 0, 'the router knows that it left');
  });
});

/** Greedy answers are right, drawn ones wrong from the first word on: what a published answer finds. */
class WrongEngine extends WatchedEngine {
  isWrong = true;
  override async *generate(...args: Parameters<ScriptedEngine['generate']>) {
    for await (const event of super.generate(...args)) {
      yield this.isWrong && event.type === 'delta' ? { ...event, text: '#'.repeat(event.text.length) } : event;
    }
  }
}

const SLOW = { prefillMsPerToken: 0, decodeMsPerToken: 5 };
class SlowEngine extends WatchedEngine {
  constructor() {
    super(SLOW);
  }
}

type HangsAt = 'load' | 'prefill' | 'decode' | 'abort' | null;

/** Hangs at a place, deaf to every abort, until a page opens another engine. */
class HangingEngine extends WatchedEngine {
  hangsAt: HangsAt = null;
  override async load(...args: Parameters<ScriptedEngine['load']>) {
    return this.hangsAt === 'load' ? forEver() : super.load(...args);
  }
  override async *generate(...args: Parameters<ScriptedEngine['generate']>) {
    for await (const event of super.generate(...args)) {
      if (this.hangsAt === 'prefill' && event.type === 'delta') await forEver();
      yield event;
      if ((this.hangsAt === 'decode' || this.hangsAt === 'abort') && event.type === 'delta') await forEver();
    }
  }
}

const forEver = () => new Promise<never>(() => undefined);
/** Longer than a scripted engine takes on a busy machine. */
/** What a busy machine keeps, too. */
const LONG = { loadMs: 60_000, firstTokenMs: 60_000, nextTokenMs: 60_000, wholeMs: 60_000 };
const SHORT = { loadMs: 500, firstTokenMs: 500, nextTokenMs: 500, wholeMs: 500, abortMs: 100, disposeMs: 100 };

describe('a tab with a model for graphics processors', () => {
  it('takes the engine for its format, and serves its near class', async () => {
    network = await TestNetwork.create();
    const [tiny] = (await tinyCatalogue()).models;
    const variants = tiny!.variants.map((variant) => ({ ...variant, id: 'q4f32_1', format: 'mlc' as const }));
    const gpu: Catalogue = { v: 2, models: [{ ...tiny!, id: 'on-gpus', variants }] };
    const [served] = await everyClass(gpu);
    const table = await readFile(
      new URL('../../models/embedded/sentence-embedding/shoal-embed-64.bin', import.meta.url),
    );
    vi.stubGlobal('WebSocket', PoolWebSocket);
    vi.stubGlobal('fetch', async (url: URL | string) => {
      const { pathname } = new URL(url);
      if (pathname === CATALOGUE_PATH) return new Response(JSON.stringify(gpu));
      return new Response(pathname === SENTENCE_EMBEDDING_PATH ? table : WEIGHTS);
    });
    try {
      const asked: string[] = [];
      const engine = new WatchedEngine();
      const engineFor: LendingOptions['engineFor'] = ({ variant, arithmetic }) => {
        asked.push(`${variant.format} on ${arithmetic.backend}`);
        return engine;
      };
      const identity = identityFrom(await createStoredIdentity());
      const { lending } = await lend(identity, { model: 'on-gpus', engineFor }, engine);
      expect(asked).toEqual(['mlc on webgpu']);
      expect(network.pool.census()).toMatchObject([{ class: served!.class }]);
      await lending.stop();
    } finally {
      vi.unstubAllGlobals();
    }
  });
});

describe('a tab that is lent', () => {
  let identity: TabIdentity;
  beforeEach(async () => {
    network = await TestNetwork.create();
    identity = identityFrom(await createStoredIdentity());
    const table = await readFile(
      new URL('../../models/embedded/sentence-embedding/shoal-embed-64.bin', import.meta.url),
    );
    const tiny = await tinyCatalogue();
    const [served] = await servedVariants(tiny);
    const tests = JSON.stringify(await publishedAnswers(served!.class));
    vi.stubGlobal('WebSocket', PoolWebSocket);
    vi.stubGlobal('fetch', async (url: URL | string) => {
      const { pathname } = new URL(url);
      if (pathname === CATALOGUE_PATH) return new Response(JSON.stringify(tiny));
      if (pathname === SELF_TESTS_PATH) return new Response(tests);
      return new Response(pathname === SENTENCE_EMBEDDING_PATH ? table : WEIGHTS);
    });
  });
  afterEach(() => vi.unstubAllGlobals());

  /** The router has other models than the tiny one. */
  async function offer(catalogue: unknown, larger = ''): Promise<void> {
    const fetchTiny = fetch;
    const digest = await digestOf(larger);
    vi.stubGlobal('fetch', async (url: URL | string) => {
      const { pathname } = new URL(url);
      if (pathname === CATALOGUE_PATH) return new Response(JSON.stringify(catalogue));
      return pathname.includes(digest) ? new Response(larger) : fetchTiny(url);
    });
  }

  const serving = (phase: LendingPhase | undefined): Serving => {
    if (phase?.phase !== 'serving') throw new Error(`it is ${phase?.phase}`);
    return phase;
  };

  it('[O2] on a device that computes wrongly never joins, and the owner is told what was wrong', async () => {
    const phases: LendingPhase[] = [];
    const engine = new WrongEngine();
    const options = {
      origin: 'http://localhost',
      model: 'shoal-pup-3m',
      direct: false,
      identity,
      links: () => NO_LINKS,
    };
    await new Lending({ ...options, engineFor: () => engine, onPhase: (phase) => phases.push(phase) }).run();
    expect(phases.at(-1)).toMatchObject({ phase: 'failed', reason: expect.stringContaining('computes wrongly') });
    expect(engine.loads).toBe(2);
    expect(network.pool.census()).toEqual([]);
  });

  it('on a device that goes wrong later leaves when it finds out', async () => {
    const engine = new WrongEngine();
    engine.isWrong = false;
    const { lending, last } = await lend(identity, {}, engine);
    expect(serving(last()).tested.outcome).toBe('right');
    engine.isWrong = true;
    await lending.testDevice();
    expect(last()).toMatchObject({ phase: 'failed', reason: expect.stringContaining('computes wrongly') });
    await until(() => network.pool.census().length === 0, 'the router knows that it left');
  });

  it('finishes what runs and then stops, and takes nothing new meanwhile', async () => {
    const { lending, last } = await lend(identity, {}, new SlowEngine());
    const asked = ask();
    await until(() => serving(last()).tab.working === 'answer', 'it works');
    const finished = lending.finish();
    await until(() => network.pool.census().length === 0, 'the router gives it no more');
    await expect(ask()).rejects.toMatchObject({ code: 'no_tab' });
    expect(await asked).toMatchObject({ verdict: { verdict: { reason: 'not_asked' } } });
    await finished;
    expect(last()).toEqual({ phase: 'stopped' });
  });

  it('[O1] that may not work says so to the router, with the reason for its owner, and finishes what runs', async () => {
    const budget = {
      settings: DEFAULT_BUDGET,
      signals: QUIET_PAGE,
      data: NO_DATA,
      keepData: () => undefined,
    };
    const { lending, last } = await lend(identity, { budget }, new SlowEngine());
    const asked = ask();
    await until(() => serving(last()).tab.working === 'answer', 'it works');
    lending.see({ ...QUIET_PAGE, isPaused: true });
    await until(() => network.pool.census().length === 0, 'the router knows');
    expect(serving(last()).budget).toMatchObject({ may: false, because: 'You paused it.' });
    expect(await asked).toMatchObject({ verdict: { verdict: { reason: 'not_asked' } } });
    lending.see(QUIET_PAGE);
    await until(() => network.pool.census().length === 1, 'it is back');
    expect(serving(last()).bytesToday).toBeGreaterThan(1_000);
    await lending.stop();
  });

  it('rests after each answer where its owner gave half of the time', async () => {
    const settings = { ...DEFAULT_BUDGET, sharePercent: 50 as const };
    const budget = { settings, signals: QUIET_PAGE, data: NO_DATA, keepData: () => undefined };
    const { lending, phases } = await lend(identity, { budget }, new SlowEngine());
    await ask();
    await until(() => network.pool.census().length === 0, 'it rests');
    expect(
      phases.some((phase) => phase.phase === 'serving' && !phase.budget.may && phase.budget.rule === 'share'),
    ).toBe(true);
    await until(() => network.pool.census().length === 1, 'it works again');
    await lending.stop();
  });

  it('[O3] whose page is frozen gives its lease back at once, and serves again when it is thawed', async () => {
    const { lending, last } = await lend(identity, {}, new SlowEngine());
    const asked = ask();
    await until(() => serving(last()).tab.working === 'answer', 'it works');
    lending.see({ ...QUIET_PAGE, isAway: true });
    await expect(asked).rejects.toMatchObject({ code: expect.stringMatching(/tab_lost|no_tab/) });
    await until(() => network.pool.census().length === 0, 'the router knows');
    await until(() => serving(last()).tab.tab !== null, 'the connection is back');
    expect(network.pool.census()).toEqual([]);
    lending.see(QUIET_PAGE);
    await until(() => network.pool.census().length === 1, 'it serves');
    expect(await ask()).toMatchObject({ verdict: { verdict: { reason: 'not_asked' } } });
    expect(network.events.filter(({ event }) => event === 'tab_refused')).toEqual([]);
    await lending.stop();
  });

  it('whose engine breaks down at its own test is loaded again, and serves on', async () => {
    class MendedByLoading extends WatchedEngine {
      override async load(...args: Parameters<ScriptedEngine['load']>) {
        const loaded = await super.load(...args);
        this.fault = null;
        return loaded;
      }
    }
    const { lending, engine, last } = await lend(identity, {}, new MendedByLoading());
    engine.fault = new EngineError('crashed', 'The engine broke down.');
    await lending.testDevice();
    expect(engine.loads).toBe(2);
    expect(serving(last())).toMatchObject({ aside: null, tested: { outcome: 'right' } });
    await until(() => network.pool.census().length === 1, 'it serves');
    expect(await ask()).toMatchObject({ verdict: { verdict: { reason: 'not_asked' } } });
    await lending.stop();
  });

  it('whose engine breaks down at its own test, again and again, leaves with a reason', async () => {
    const { lending, engine, last } = await lend(identity);
    engine.fault = new EngineError('crashed', 'The engine broke down.');
    await lending.testDevice();
    expect(last()).toMatchObject({ phase: 'failed', reason: 'The engine broke down.' });
    await until(() => network.pool.census().length === 0, 'the router knows that it left');
  });

  it('that is stopped while it tests itself ends as any other', async () => {
    const { lending, last } = await lend(identity, {}, new SlowEngine());
    const tested = lending.testDevice();
    await until(() => serving(last()).aside === 'testing', 'it tests itself');
    await lending.stop();
    await tested;
    expect(last()).toEqual({ phase: 'stopped' });
  });

  it('left to choose takes a model that chats, and one that embeds only when it is named', async () => {
    const [tiny] = (await tinyCatalogue()).models;
    const embed = { pooling: 'mean' as const, dimensions: 64 };
    const embeds = { ...tiny!, id: 'embeds', capabilities: ['embed'], chat: null, embed };
    const both = { v: 2, models: [tiny!, embeds] }; // Of two that are alike, the later would be taken.
    await offer(both);
    const chosen = await lend(identity, { model: null });
    expect(serving(chosen.last()).model).toBe('shoal-pup-3m:q8_0');
    await chosen.lending.stop();
    const named = await lend(identity, { model: 'embeds' });
    expect(serving(named.last())).toMatchObject({ model: 'embeds:q8_0', tested: { outcome: 'steady' } });
    await named.lending.stop();
  });

  it('[O5] does not follow the network to a model whose terms its owner has not seen', async () => {
    const [tiny] = (await tinyCatalogue()).models;
    const larger = await withWeights(tiny!, 'GGUF that is larger');
    const strict = { ...tiny!, id: 'strict', licence: { ...tiny!.licence, mustShow: true } };
    await offer({ v: 2, models: [larger, strict] }, 'GGUF that is larger');
    const { lending, phases, last } = await lend(identity, { model: null });
    expect(serving(last()).model).toBe('shoal-pup-3m:q8_0');
    const served = await servedVariants({ v: 2, models: [larger, strict] });
    const [mine, short] = served.map(({ model, variant, class: id }) => ({
      model: model.id,
      variant: variant.id,
      class: id,
    }));
    await expect(network.ask('hello', { level: 'none', variants: [short!] })).rejects.toMatchObject({ code: 'no_tab' });
    await network.ask('hello', { level: 'none', variants: [mine!] }); // What the tab is told meanwhile has arrived by then.
    expect(phases.some((phase) => phase.phase === 'serving' && phase.coming !== null)).toBe(false);
    await lending.stop();
  });

  it('whose data of the day is used up takes its model from the browser, and waits for the next day', async () => {
    vi.stubGlobal('caches', new MemoryCaches());
    const before = await lend(identity);
    await before.lending.stop();
    const data = { day: dayOf(Date.now()), bytes: 1 };
    const settings = { ...DEFAULT_BUDGET, dailyBytes: 1 };
    const budget = { settings, signals: QUIET_PAGE, data, keepData: () => undefined };
    const { lending, last } = await lend(identity, { budget });
    expect(serving(last()).budget).toMatchObject({ may: false, rule: 'data' });
    await lending.stop();
  });

  it('left to choose takes the model that the network is short of, and changes over to it between two answers', async () => {
    const [tiny] = (await tinyCatalogue()).models;
    const digest = (text: string) => crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
    const large = 'GGUF that is larger';
    const piece = { sha256: toHex(new Uint8Array(await digest(large))), bytes: large.length };
    const [small] = tiny!.variants;
    const files = [{ name: 'large.gguf', bytes: large.length, mirrors: [] }];
    const variant = { ...small!, id: 'f16', weights: { ...small!.weights, ...piece, pieces: [piece], files } };
    const both: Catalogue = { v: 2, models: [{ ...tiny!, variants: [small!, variant] }] };
    const fetchTiny = fetch;
    const arrived = Promise.withResolvers<void>();
    vi.stubGlobal('fetch', async (url: URL | string) => {
      const { pathname } = new URL(url);
      if (pathname === CATALOGUE_PATH) return new Response(JSON.stringify(both));
      if (pathname.includes(piece.sha256)) return new Response(large);
      if (pathname.includes(small!.weights.sha256)) await arrived.promise;
      return fetchTiny(url);
    });
    const engines: WatchedEngine[] = [];
    const engineFor = () => {
      const engine = new SlowEngine();
      engines.push(engine);
      return engine;
    };
    const { lending, last } = await lend(identity, { model: null, engineFor });
    expect(serving(last()).model).toBe('shoal-pup-3m:f16');
    await expect(ask()).rejects.toMatchObject({ code: 'no_tab' });
    await until(() => serving(last()).coming !== null, 'the model that is short comes down');
    const served = (await servedVariants(both)).find((entry) => entry.variant.id === 'f16')!;
    const variants = [{ model: served.model.id, variant: 'f16', class: served.class }];
    const asked = network.ask('hello', { level: 'none', variants });
    await until(() => serving(last()).tab.working === 'answer', 'it works');
    arrived.resolve();
    await until(() => serving(last()).aside === 'changing', 'the model that is short is here');
    expect(serving(last()).model).toBe('shoal-pup-3m:f16');
    expect(await asked).toMatchObject({ verdict: { verdict: { reason: 'not_asked' } } });
    await until(
      () => serving(last()).model === 'shoal-pup-3m:q8_0' && serving(last()).aside === null,
      'it changes over',
    );
    expect(engines.map(({ loads }) => loads)).toEqual([1, 1]);
    expect(engines[0]!.disposals).toBeGreaterThan(engines[1]!.disposals);
    await until(() => network.pool.census().length === 1, 'it serves');
    expect(await ask()).toMatchObject({ verdict: { verdict: { reason: 'not_asked' } } });
    await lending.stop();
  });
});

/** Writes so little that nothing can be told. */
class CrawlingEngine extends WatchedEngine {
  override async *generate(...[, signal]: Parameters<ScriptedEngine['generate']>) {
    yield { type: 'prompt' as const, tokens: 5 };
    yield { type: 'delta' as const, text: ' ', tokens: 1 };
    await new Promise((_, reject) => {
      const stop = () => reject(abortError());
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop);
    });
  }
}

describe('a tab with a second model', () => {
  let identity: TabIdentity;
  /** More than what comes within seconds, so that it comes second. */
  const LARGE = `GGUF${' '.repeat(8_200_000)}`;
  /** What the mirror of the larger one waits for. */
  let arrives: PromiseWithResolvers<void>;
  beforeEach(async () => {
    network = await TestNetwork.create();
    identity = identityFrom(await createStoredIdentity());
    arrives = Promise.withResolvers<void>();
    const table = await readFile(
      new URL('../../models/embedded/sentence-embedding/shoal-embed-64.bin', import.meta.url),
    );
    const [tiny] = (await tinyCatalogue()).models;
    const large = { ...(await withWeights(tiny!, LARGE)), id: 'large' };
    const both = { v: 2, models: [tiny!, large] };
    const digest = await digestOf(LARGE);
    vi.stubGlobal('WebSocket', PoolWebSocket);
    vi.stubGlobal('fetch', async (url: URL | string, init: { signal?: AbortSignal } = {}) => {
      const { pathname } = new URL(url);
      if (pathname === CATALOGUE_PATH) return new Response(JSON.stringify(both));
      if (!pathname.includes(digest)) return new Response(pathname === SENTENCE_EMBEDDING_PATH ? table : WEIGHTS);
      await Promise.race([
        arrives.promise,
        new Promise((_, reject) => init.signal?.addEventListener('abort', () => reject(init.signal?.reason))),
      ]);
      return new Response(LARGE);
    });
  });
  afterEach(() => vi.unstubAllGlobals());

  const serving = (phase: LendingPhase | undefined): Serving => {
    if (phase?.phase !== 'serving') throw new Error(`it is ${phase?.phase}`);
    return phase;
  };

  it('[I3] does not fetch it while its owner has paused it, says so, and goes on afterwards', async () => {
    const budget = { settings: DEFAULT_BUDGET, signals: QUIET_PAGE, data: NO_DATA, keepData: () => undefined };
    const { lending, last } = await lend(identity, { model: null, budget, engineFor: () => new WatchedEngine() });
    await until(() => serving(last()).coming !== null, 'the larger one comes down');
    expect(serving(last()).coming?.halted).toBeNull();
    lending.see({ ...QUIET_PAGE, isPaused: true });
    await until(() => serving(last()).coming?.halted === 'You paused it.', 'the page says so');
    arrives.resolve();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(serving(last()).model).toBe('shoal-pup-3m:q8_0');
    lending.see(QUIET_PAGE);
    await until(() => serving(last()).model === 'large:q8_0' && serving(last()).aside === null, 'it changes over');
    expect(serving(last())).toMatchObject({ coming: null, missed: null });
    await lending.stop();
  });

  it('[I2] whose engine throws serves on with the first, and shows what that one found in its own test', async () => {
    arrives.resolve();
    const engineFor: LendingOptions['engineFor'] = ({ model }) => {
      const engine = new WatchedEngine();
      if (model.id === 'large') engine.fault = new EngineError('crashed', 'The engine broke down.');
      return engine;
    };
    const { lending, last } = await lend(identity, { model: null, engineFor });
    const testedAt = serving(last()).tested.at;
    await until(() => serving(last()).missed !== null && serving(last()).aside === null, 'the larger one failed');
    expect(serving(last())).toMatchObject({
      model: 'shoal-pup-3m:q8_0',
      missed: { model: 'large:q8_0', reason: 'The engine broke down.', againAt: expect.any(Number) },
      tested: { outcome: 'steady' },
    });
    expect(serving(last()).tested.at).toBeGreaterThanOrEqual(testedAt);
    expect(await ask()).toMatchObject({ verdict: { verdict: { reason: 'not_asked' } } });
    await lending.stop();
  });

  it('that this device is too slow for keeps the first, and does not try it again', async () => {
    arrives.resolve();
    const engineFor: LendingOptions['engineFor'] = ({ model }) =>
      model.id === 'large' ? new CrawlingEngine() : new WatchedEngine();
    const { lending, last } = await lend(identity, { model: null, engineFor, selfTestMs: 1_000 });
    await until(() => serving(last()).missed !== null && serving(last()).aside === null, 'the larger one failed');
    expect(serving(last())).toMatchObject({
      model: 'shoal-pup-3m:q8_0',
      missed: { reason: 'This device is too slow for large:q8_0: it wrote 1 letter in 1 s.', againAt: null },
      tested: { outcome: 'steady' },
    });
    await lending.stop();
  });

  it('and too slow for the one that its owner chose does not join, and names the smaller one', async () => {
    arrives.resolve();
    const phases: LendingPhase[] = [];
    const options = { origin: 'http://localhost', model: 'large', direct: false, identity, links: () => NO_LINKS };
    const engineFor = () => new CrawlingEngine();
    const onPhase = (phase: LendingPhase) => phases.push(phase);
    await new Lending({ ...options, engineFor, selfTestMs: 200, onPhase }).run();
    expect(phases.at(-1)).toMatchObject({
      phase: 'failed',
      reason: expect.stringContaining('This device is too slow for large:q8_0'),
      next: expect.stringContaining('shoal-pup-3m:q8_0'),
    });
    expect(network.pool.census()).toEqual([]);
  });
});

async function digestOf(text: string): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))));
}

/** A model whose only variant has these weights. */
async function withWeights(model: Catalogue['models'][number], text: string): Promise<Catalogue['models'][number]> {
  const piece = { sha256: await digestOf(text), bytes: text.length };
  const [variant] = model.variants;
  const files = [{ name: 'larger.gguf', bytes: text.length, mirrors: [] }];
  return { ...model, variants: [{ ...variant!, weights: { ...variant!.weights, ...piece, pieces: [piece], files } }] };
}

async function publishedAnswers(classId: string): Promise<SelfTests> {
  const engine = new ScriptedEngine();
  const options = { contextTokens: 512, threads: 1, batchTokens: 16, embeddings: false };
  const never = new AbortController().signal;
  await engine.load(new Blob([WEIGHTS]), options, never);
  const { models } = await tinyCatalogue();
  const prompt = promptRenderer(chatFormOf(models[0]!)).render([{ role: 'user', content: 'What is tea?' }]);
  let text = '';
  for await (const event of engine.generate({ prompt, sampling: TEST_SAMPLING, stop: [] }, never)) {
    if (event.type === 'delta') text += event.text;
  }
  return { v: 1, classes: { [classId]: [{ prompt: 'What is tea?', sampling: TEST_SAMPLING, text }] } };
}
