import type { LinkEvents } from '../../shared/peer/direct-links.ts';
import { type PageLinkPort, pageLinkPort } from '../../shared/peer/page-link-port.ts';
import type { LinkTraffic } from '../../shared/peer/peer-link.ts';
import type { BudgetSettings } from '../budget/budget-settings.ts';
import type { PageSignals } from '../budget/work-gate.ts';
import { wllamaWasmUrl } from '../engine/wllama-wasm.ts';
import type { Shortage } from '../models/model-store.ts';
import { Pulse } from './pulse.ts';
import type { LendingPhase } from './start-lending.ts';
import type { PageToWorker, WorkerToPage } from './worker-messages.ts';

/** What a person decided before the start. */
export type StartChoices = Pick<
  Extract<PageToWorker, { t: 'start' }>,
  'model' | 'device' | 'budget' | 'signals' | 'direct' | 'checkOnly'
>;

/** The page's handle on the worker that lends the tab. Holds the links, which only a page can open. */
export class LendingWorker implements LinkEvents {
  readonly #onPhase: (phase: LendingPhase, identityKept: boolean) => void;
  readonly #onShortage: (shortage: Shortage) => void;
  readonly #links: PageLinkPort = pageLinkPort(() => this);
  /** Null where threads share no memory; WebKitGTK calls such a page isolated, too. */
  readonly #goodbye =
    globalThis.crossOriginIsolated && typeof SharedArrayBuffer === 'function'
      ? new Int32Array(new SharedArrayBuffer(4))
      : null;
  readonly #pulse = new Pulse(
    () => this.#post({ t: 'areYouAlive' }),
    () => this.#stuck(),
  );
  #worker: Worker | null = null;
  #choices: StartChoices | null = null;
  /** When a stuck worker was last started again, ms since the epoch. */
  #restartedAt = Number.NEGATIVE_INFINITY;
  /** Ends the worker that is leaving; null while none is. */
  #leaving: ReturnType<typeof setTimeout> | null = null;
  /** Its owner wants no more of it than what runs. */
  #isFinishing = false;
  #last: { readonly phase: LendingPhase['phase']; readonly identityKept: boolean } | null = null;

  /** `onShortage` is answered by {@link drop}. */
  constructor(
    onPhase: (phase: LendingPhase, identityKept: boolean) => void,
    onShortage: (shortage: Shortage) => void = () => this.drop([]),
  ) {
    this.#onPhase = onPhase;
    this.#onShortage = onShortage;
  }

  start(choices: StartChoices): void {
    this.#end();
    this.#choices = choices;
    this.#isFinishing = false;
    const worker = new Worker(new URL('./tab-worker.ts', import.meta.url), { type: 'module', name: 'shoal-tab' });
    this.#worker = worker;
    this.#last = null;
    worker.onmessage = (event: MessageEvent<WorkerToPage>) => {
      if (worker === this.#worker) this.#receive(event.data);
    };
    worker.onerror = () => {
      if (worker !== this.#worker) return;
      this.#end();
      this.#show(
        { phase: 'failed', reason: 'The worker of this tab could not run.', next: 'Reload the page and start again.' },
        false,
      );
    };
    const asked = new URLSearchParams(location.hash.slice(1));
    this.#post({
      t: 'start',
      origin: location.origin,
      ...choices,
      goodbye: this.#goodbye?.buffer ?? null,
      guard: asked.get('guard'),
      arithmetic: {
        backend: asked.has('webgpu') ? 'webgpu' : 'cpu',
        flashAttention: asked.has('flash-attention'),
      },
      wasmUrl: new URL(wllamaWasmUrl, location.href).href,
    });
    this.#pulse.begin();
  }

  setDirect(direct: boolean): void {
    if (this.#choices !== null) this.#choices = { ...this.#choices, direct };
    this.#post({ t: 'direct', direct });
  }

  setBudget(settings: BudgetSettings): void {
    if (this.#choices !== null) this.#choices = { ...this.#choices, budget: settings };
    this.#post({ t: 'budget', settings });
  }

  /** A page that is about to be frozen waits a moment: its worker is frozen with it, and has a goodbye to say. */
  see(signals: PageSignals): void {
    if (this.#choices !== null) this.#choices = { ...this.#choices, signals };
    const before = this.#goodbye?.[0] ?? 0;
    this.#post({ t: 'signals', signals });
    if (!signals.isAway || this.#goodbye === null || this.#worker === null) return;
    const patience = performance.now() + GOODBYE_DEADLINE_MS;
    while (Atomics.load(this.#goodbye, 0) === before && performance.now() < patience);
  }

  /** Which models to delete so that another has room, by the digests of their weights. */
  drop(weights: readonly string[]): void {
    this.#post({ t: 'drop', weights });
  }

  testDevice(): void {
    this.#post({ t: 'testDevice' });
  }

  /** Takes no more work and ends when what runs is done. */
  finish(): void {
    this.#isFinishing = true;
    this.#post({ t: 'finish' });
  }

  /** Asks the worker to leave; what does not leave in time is ended, so that the memory comes back in any case. */
  stop(): void {
    if (this.#worker === null) return;
    this.#post({ t: 'stop' });
    this.#endSoon();
  }

  /** Bytes over direct links, by the browser's own count. */
  traffic(): Promise<LinkTraffic> {
    return this.#links.totalTraffic();
  }

  opened(id: string): void {
    this.#post({ t: 'linkOpened', id });
  }

  closed(id: string): void {
    this.#post({ t: 'linkClosed', id });
  }

  received(id: string, message: Uint8Array<ArrayBuffer>): void {
    this.#post({ t: 'linkReceived', id, message });
  }

  /** The worker has its last words to say to the router, and an engine to give back. */
  #endSoon(): void {
    this.#leaving ??= setTimeout(() => {
      this.#end();
      const { phase, identityKept } = this.#last ?? { phase: 'preparing', identityKept: true };
      if (!isOver(phase)) this.#show({ phase: 'stopped' }, identityKept);
    }, LEAVE_DEADLINE_MS);
  }

  /** The router finds its socket closed, and gives what ran to another tab. Once in a while it is started again; a worker that is stuck time and again is not. */
  #stuck(): void {
    const { identityKept } = this.#last ?? { identityKept: true };
    const now = Date.now();
    const mayRestart =
      this.#choices !== null && this.#leaving === null && now - this.#restartedAt > RESTART_AT_MOST_EVERY_MS;
    const reason = 'The worker of this tab was stuck, and was ended.';
    this.#end();
    if (this.#isFinishing) this.#show({ phase: 'stopped' }, identityKept);
    else if (mayRestart && this.#choices !== null) {
      this.#restartedAt = now;
      this.start(this.#choices);
    } else this.#show({ phase: 'failed', reason, next: 'Start again, or choose a smaller model.' }, identityKept);
  }

  /** Links are the page's: a worker that was ended cannot close them. */
  #end(): void {
    this.#pulse.end();
    if (this.#leaving !== null) clearTimeout(this.#leaving);
    this.#leaving = null;
    this.#worker?.terminate();
    this.#worker = null;
    this.#links.closeAll();
  }

  #show(phase: LendingPhase, identityKept: boolean): void {
    this.#last = { phase: phase.phase, identityKept };
    this.#onPhase(phase, identityKept);
  }

  #post(message: PageToWorker): void {
    this.#worker?.postMessage(message);
  }

  #receive(message: WorkerToPage): void {
    switch (message.t) {
      case 'phase':
        if (isOver(message.phase.phase)) this.#endSoon();
        return this.#show(message.phase, message.identityKept);
      case 'alive':
        return this.#pulse.felt();
      case 'shortage':
        return this.#onShortage(message.shortage);
      case 'linkCreate':
        return this.#links.create(message.id, message.initiator);
      case 'linkDescribe':
        this.#links.describe(message.id).then(
          (sdp) => this.#post({ t: 'linkDescribed', id: message.id, sdp }),
          () => this.#post({ t: 'linkDescribed', id: message.id, sdp: null }),
        );
        return;
      case 'linkAccept':
        return this.#links.accept(message.id, message.type, message.sdp);
      case 'linkSend':
        return this.#links.send(message.id, message.message);
      case 'linkClose':
        return this.#links.close(message.id);
    }
  }
}

/** Whether a worker that says so has nothing more to do. */
function isOver(phase: LendingPhase['phase']): boolean {
  return phase === 'stopped' || phase === 'failed';
}

/** Time for a goodbye before the page is frozen, ms: nobody sees the page then. */
const GOODBYE_DEADLINE_MS = 500;

/** A worker that is stuck again within this time is not started again, ms. */
const RESTART_AT_MOST_EVERY_MS = 30 * 60_000;

/** Time for a running answer to be cut off and the router to be told, ms. */
const LEAVE_DEADLINE_MS = 1_500;
