import type { LinkEvents } from '../../shared/peer/direct-links.ts';
import { type PageLinkPort, pageLinkPort } from '../../shared/peer/page-link-port.ts';
import type { LinkTraffic } from '../../shared/peer/peer-link.ts';
import { wllamaWasmUrl } from '../engine/wllama-wasm.ts';
import type { LendingPhase } from './start-lending.ts';
import type { PageToWorker, WorkerToPage } from './worker-messages.ts';

/** The page's handle on the worker that lends the tab. Holds the links, which only a page can open. */
export class LendingWorker implements LinkEvents {
  readonly #onPhase: (phase: LendingPhase, identityKept: boolean) => void;
  readonly #links: PageLinkPort = pageLinkPort(() => this);
  #worker: Worker | null = null;

  constructor(onPhase: (phase: LendingPhase, identityKept: boolean) => void) {
    this.#onPhase = onPhase;
    addEventListener('online', () => this.#post({ t: 'online' }));
  }

  start(model: string, direct: boolean): void {
    this.#worker?.terminate();
    this.#worker = new Worker(new URL('./tab-worker.ts', import.meta.url), { type: 'module', name: 'shoal-tab' });
    this.#worker.onmessage = (event: MessageEvent<WorkerToPage>) => this.#receive(event.data);
    this.#worker.onerror = () => {
      this.#onPhase(
        { phase: 'failed', reason: 'The worker of this tab could not run.', next: 'Reload the page and start again.' },
        false,
      );
    };
    this.#post({
      t: 'start',
      origin: location.origin,
      model,
      direct,
      wasmUrl: new URL(wllamaWasmUrl, location.href).href,
    });
  }

  setDirect(direct: boolean): void {
    this.#post({ t: 'direct', direct });
  }

  /** Asks the worker to leave; what does not leave in time is ended, so that the memory comes back in any case. */
  stop(): void {
    const worker = this.#worker;
    if (worker === null) return;
    this.#post({ t: 'stop' });
    setTimeout(() => {
      worker.terminate();
      if (this.#worker === worker) this.#worker = null;
    }, LEAVE_DEADLINE_MS);
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

  #post(message: PageToWorker): void {
    this.#worker?.postMessage(message);
  }

  #receive(message: WorkerToPage): void {
    switch (message.t) {
      case 'phase':
        return this.#onPhase(message.phase, message.identityKept);
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

/** Time for a running answer to be cut off and the router to be told, ms. */
const LEAVE_DEADLINE_MS = 1_500;
