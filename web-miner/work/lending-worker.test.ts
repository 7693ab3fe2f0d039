import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DEFAULT_BUDGET } from '../budget/budget-settings.ts';
import { QUIET_PAGE } from '../budget/work-gate.ts';
import { LendingWorker, type StartChoices } from './lending-worker.ts';
import type { LendingPhase } from './start-lending.ts';
import type { PageToWorker, WorkerToPage } from './worker-messages.ts';

const ports = vi.hoisted(() => ({ closedAll: 0 }));
vi.mock('../../shared/peer/page-link-port.ts', () => ({
  pageLinkPort: () => ({ closeAll: () => ports.closedAll++ }),
}));
vi.mock('../engine/wllama-wasm.ts', () => ({ wllamaWasmUrl: '/engine.wasm' }));

/** Stands in for the browser's worker: a test says what it says. */
class FakeWorker {
  static readonly all: FakeWorker[] = [];
  readonly got: PageToWorker['t'][] = [];
  isTerminated = false;
  /** Whether it answers when it is asked. */
  isAlive = false;
  started: StartChoices | null = null;
  onmessage: ((event: { readonly data: WorkerToPage }) => void) | null = null;
  onerror: (() => void) | null = null;

  constructor() {
    FakeWorker.all.push(this);
  }
  postMessage(message: PageToWorker): void {
    this.got.push(message.t);
    if (message.t === 'areYouAlive' && this.isAlive) this.onmessage?.({ data: { t: 'alive' } });
    if (message.t !== 'start') return;
    const { model, device, budget, signals, direct, checkOnly } = message;
    this.started = { model, device, budget, signals, direct, checkOnly };
  }
  terminate(): void {
    this.isTerminated = true;
  }
  says(phase: LendingPhase): void {
    this.onmessage?.({ data: { t: 'phase', phase, identityKept: true } });
  }
}

const CHOICES: StartChoices = {
  model: 'pup',
  device: { memoryBytes: null, storageBytes: null, bytesPerSecond: null, gpu: null },
  budget: DEFAULT_BUDGET,
  signals: QUIET_PAGE,
  direct: false,
  checkOnly: false,
};

function lend() {
  const phases: LendingPhase[] = [];
  const lending = new LendingWorker((phase) => phases.push(phase));
  lending.start(CHOICES);
  return { lending, phases, worker: FakeWorker.all.at(-1)! };
}

describe('the worker that lends a tab', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal('Worker', FakeWorker);
    vi.stubGlobal('location', { origin: 'http://localhost', href: 'http://localhost/join', hash: '' });
    ports.closedAll = 0;
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it('starts in a browser that calls its pages isolated and has no memory to share', () => {
    vi.stubGlobal('crossOriginIsolated', true);
    vi.stubGlobal('SharedArrayBuffer', undefined);
    expect(lend().worker.got).toEqual(['start']);
  });

  it('is ended when it does not leave in time: the page says stopped, and its links are closed', () => {
    const { lending, phases, worker } = lend();
    worker.says({ phase: 'preparing' });
    const closedBefore = ports.closedAll;
    lending.stop();
    expect(worker.got).toEqual(['start', 'stop']);
    vi.runAllTimers();
    expect(worker.isTerminated).toBe(true);
    expect(ports.closedAll).toBe(closedBefore + 1);
    expect(phases).toEqual([{ phase: 'preparing' }, { phase: 'stopped' }]);
  });

  it('that left in time is ended too, and stopped is said once', () => {
    const { lending, phases, worker } = lend();
    lending.stop();
    worker.says({ phase: 'stopped' });
    vi.runAllTimers();
    expect(worker.isTerminated).toBe(true);
    expect(phases).toEqual([{ phase: 'stopped' }]);
  });

  it('that failed gives its memory back without being asked, and the reason stays', () => {
    const { phases, worker } = lend();
    worker.says({ phase: 'failed', reason: 'Another tab took over.', next: 'Nothing to do.' });
    vi.runAllTimers();
    expect(worker.isTerminated).toBe(true);
    expect(phases.map(({ phase }) => phase)).toEqual(['failed']);
  });

  it('that cannot run is ended, and the page says so', () => {
    const { phases, worker } = lend();
    worker.onerror?.();
    expect(worker.isTerminated).toBe(true);
    expect(phases.map(({ phase }) => phase)).toEqual(['failed']);
  });

  it('that is stuck is ended and started again as its owner has it now, once; stuck again, the page says so', () => {
    const { lending, phases, worker } = lend();
    lending.setDirect(true);
    vi.advanceTimersByTime(60_000);
    const next = FakeWorker.all.at(-1)!;
    expect([worker.isTerminated, next === worker, next.started]).toEqual([true, false, { ...CHOICES, direct: true }]);
    vi.advanceTimersByTime(60_000);
    expect(next.isTerminated).toBe(true);
    expect(phases).toEqual([
      {
        phase: 'failed',
        reason: 'The worker of this tab was stuck, and was ended.',
        next: 'Start again, or choose a smaller model.',
      },
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('that is stuck while it finishes for good is ended, and not started again', () => {
    const { lending, phases, worker } = lend();
    lending.finish();
    vi.advanceTimersByTime(60_000);
    expect([worker.isTerminated, FakeWorker.all.at(-1) === worker, phases]).toEqual([
      true,
      true,
      [{ phase: 'stopped' }],
    ]);
    lending.start(CHOICES);
    vi.advanceTimersByTime(60_000);
    expect(FakeWorker.all.at(-1)?.started).toEqual(CHOICES);
    lending.stop();
    vi.runAllTimers();
  });

  it('that answers is left alone, however long it lends', () => {
    const { lending, worker } = lend();
    worker.isAlive = true;
    vi.advanceTimersByTime(24 * 3_600_000);
    expect(worker.isTerminated).toBe(false);
    lending.stop();
    worker.says({ phase: 'stopped' });
    vi.runAllTimers();
  });

  it('makes room for the next one at once, and has nothing more to say', () => {
    const { lending, phases, worker } = lend();
    lending.stop();
    lending.start(CHOICES);
    const next = FakeWorker.all.at(-1)!;
    expect([worker.isTerminated, next.isTerminated]).toEqual([true, false]);
    worker.says({ phase: 'stopped' });
    next.says({ phase: 'preparing' });
    vi.advanceTimersByTime(3_000);
    expect(next.isTerminated).toBe(false);
    expect(phases).toEqual([{ phase: 'preparing' }]);
  });
});
