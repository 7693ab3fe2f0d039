import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import embedded from '../../models/embedded/catalogue.json' with { type: 'json' };
import { TestNetwork, until } from '../../router-worker/testing/network.ts';
import { toHex } from '../../shared/bytes.ts';
import {
  CATALOGUE_PATH,
  type Catalogue,
  SENTENCE_EMBEDDING_PATH,
  servedVariants,
} from '../../shared/classes/catalogue.ts';
import { NO_LINKS } from '../../shared/peer/direct-links.ts';
import { CLOSE } from '../../shared/protocol/tab-socket.ts';
import { EngineError } from '../engine/engine.ts';
import { ScriptedEngine } from '../engine/scripted-engine.ts';
import { createStoredIdentity, identityFrom, type TabIdentity } from '../identity/tab-identity.ts';
import { Lending, type LendingPhase } from './start-lending.ts';

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

async function lend(identity: TabIdentity) {
  const phases: LendingPhase[] = [];
  const engine = new WatchedEngine();
  const lending = new Lending({
    origin: 'http://localhost',
    model: 'shoal-pup-3m',
    direct: false,
    identity,
    engine,
    links: () => NO_LINKS,
    onPhase: (phase) => phases.push(phase),
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
    expect(seen).toEqual(['preparing', 'downloading', 'loading', 'testing', 'serving']);
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
