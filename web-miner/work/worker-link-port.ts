import type { DirectLinks, LinkPort } from '../../shared/peer/direct-links.ts';
import type { PageToWorker, WorkerToPage } from './worker-messages.ts';

/** The worker's end of the page's links: WebRTC exists on the main thread only. */
export class WorkerLinkPort implements LinkPort {
  readonly #post: (message: WorkerToPage) => void;
  readonly #moved: (bytes: number) => void;
  readonly #descriptions = new Map<string, PromiseWithResolvers<string>>();
  #events: (() => DirectLinks) | null = null;

  /** `moved` hears of the bytes of every message, both ways. */
  constructor(post: (message: WorkerToPage) => void, moved: (bytes: number) => void) {
    this.#post = post;
    this.#moved = moved;
  }

  /** Links of a new lending tab; those of the one before are closed by it. */
  bind(events: () => DirectLinks): this {
    this.#events = events;
    return this;
  }

  create(id: string, initiator: boolean): void {
    this.#post({ t: 'linkCreate', id, initiator });
  }

  describe(id: string): Promise<string> {
    const description = Promise.withResolvers<string>();
    this.#descriptions.set(id, description);
    this.#post({ t: 'linkDescribe', id });
    return description.promise;
  }

  accept(id: string, type: 'offer' | 'answer', sdp: string): void {
    this.#post({ t: 'linkAccept', id, type, sdp });
  }

  send(id: string, message: Uint8Array<ArrayBuffer>): void {
    this.#moved(message.byteLength);
    this.#post({ t: 'linkSend', id, message });
  }

  close(id: string): void {
    this.#settle(id, null);
    this.#post({ t: 'linkClose', id });
  }

  /** A message of the page about a link; false when it is about something else. */
  receive(message: PageToWorker): boolean {
    switch (message.t) {
      case 'linkDescribed':
        this.#settle(message.id, message.sdp);
        return true;
      case 'linkOpened':
        this.#events?.().opened(message.id);
        return true;
      case 'linkClosed':
        this.#settle(message.id, null);
        this.#events?.().closed(message.id);
        return true;
      case 'linkReceived':
        this.#moved(message.message.byteLength);
        this.#events?.().received(message.id, message.message);
        return true;
      default:
        return false;
    }
  }

  #settle(id: string, sdp: string | null): void {
    const description = this.#descriptions.get(id);
    this.#descriptions.delete(id);
    if (sdp !== null) description?.resolve(sdp);
    else description?.reject(new Error('the link closed'));
  }
}
