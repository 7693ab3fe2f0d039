import type { Bytes } from '../shared/bytes.ts';
import { DirectLinks } from '../shared/peer/direct-links.ts';
import { pageLinkPort } from '../shared/peer/page-link-port.ts';
import type { Signed, Signer } from '../shared/signing/signed-statement.ts';

export interface DirectPathOptions {
  readonly signer: Signer;
  readonly iceServers: readonly RTCIceServer[];
  readonly onMessage: (peer: string, message: Bytes) => void;
  readonly onLost: (peer: string) => void;
}

/** A client's direct links. Loaded only by clients that use them. */
export class DirectPath {
  readonly #links: DirectLinks;
  readonly #port: ReturnType<typeof pageLinkPort>;

  constructor(options: DirectPathOptions) {
    this.#port = pageLinkPort(() => this.#links, options.iceServers);
    this.#links = new DirectLinks(this.#port, {
      signer: options.signer,
      onMessage: options.onMessage,
      onChange: (peer, open) => {
        if (!open) options.onLost(peer);
      },
    });
  }

  /** The tab whose link is open; null when there is none. */
  get openPeer(): string | null {
    return this.#links.openPeers[0] ?? null;
  }

  /** `false` when there is no open link: nothing was sent. */
  send(peer: string, message: Bytes): boolean {
    return this.#links.send(peer, message);
  }

  connect(peer: string, exchange: (link: string, offer: Signed) => Promise<Signed | null>): Promise<boolean> {
    return this.#links.connect(peer, exchange);
  }

  close(peer: string): void {
    this.#links.close(peer);
  }

  closeAll(): void {
    this.#links.closeAll();
  }

  /** Bytes on all links so far, both ways, by the browser's own count. */
  async bytes(): Promise<number> {
    const { sentBytes, receivedBytes } = await this.#port.totalTraffic();
    return sentBytes + receivedBytes;
  }
}
