import Peer from 'simple-peer/simplepeer.min.js';
import { ShoalError } from '../errors.ts';
import { ICE_GATHER_MS, LINK_BUFFER_HIGH_BYTES, LINK_BUFFER_LOW_BYTES } from '../limits.ts';
import { chunksOf, MessageAssembler } from './message-chunks.ts';

/**
 * A direct link between two tabs: one offer, one answer, then messages of any size, in order, with back-pressure. WebRTC exists on a
 * page's main thread only; what crosses it is sealed.
 */
export interface PeerLinkOptions {
  readonly initiator: boolean;
  /** STUN and TURN as the operator configured them; empty by default, never the library's own list. */
  readonly iceServers: readonly RTCIceServer[];
  readonly onMessage: (message: Uint8Array<ArrayBuffer>) => void;
  readonly onOpen: () => void;
  /** Called once, also when the link never opened. */
  readonly onClose: (reason: string) => void;
}

export interface LinkTraffic {
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export class PeerLink {
  readonly #peer: Peer;
  readonly #description: Promise<string>;
  readonly #queue: Uint8Array<ArrayBuffer>[] = [];
  #closed = false;

  constructor(options: PeerLinkOptions) {
    const peer = new Peer({
      initiator: options.initiator,
      trickle: false,
      iceCompleteTimeout: ICE_GATHER_MS,
      config: { iceServers: [...options.iceServers] },
    });
    this.#peer = peer;
    const assembler = new MessageAssembler();
    const close = (reason: string) => {
      if (this.#closed) return;
      this.#closed = true;
      this.#queue.length = 0;
      peer.destroy();
      options.onClose(reason);
    };
    this.#description = new Promise((resolve, reject) => {
      peer.on('signal', (data) => {
        if (data.sdp !== undefined) resolve(data.sdp);
      });
      peer.on('close', () =>
        reject(new ShoalError('deadline_exceeded', 'The direct link closed before it was described.')),
      );
    });
    this.#description.catch(() => undefined);
    peer.on('connect', () => {
      const channel = peer._channel;
      if (channel !== null) {
        channel.bufferedAmountLowThreshold = LINK_BUFFER_LOW_BYTES;
        channel.addEventListener('bufferedamountlow', () => this.#drain());
      }
      options.onOpen();
    });
    peer.on('data', (data) => {
      try {
        for (const message of assembler.push(data)) options.onMessage(message);
      } catch {
        close('a message was malformed');
      }
    });
    peer.on('error', (error) => close(error.message));
    peer.on('close', () => close('closed'));
  }

  get isOpen(): boolean {
    return this.#peer.connected && !this.#closed;
  }

  /** This side's session description, with its candidates. */
  describe(): Promise<string> {
    return this.#description;
  }

  /** Takes the other side's description. */
  accept(type: 'offer' | 'answer', sdp: string): void {
    if (!this.#closed) this.#peer.signal({ type, sdp });
  }

  /** `false` when the link is not open: nothing was sent. */
  send(message: Uint8Array): boolean {
    if (!this.isOpen) return false;
    this.#queue.push(...chunksOf(message));
    this.#drain();
    return true;
  }

  close(): void {
    this.#peer.destroy();
  }

  /** Bytes on the wire so far, as `RTCPeerConnection.getStats` counts them on the transport; zero before it is open. */
  async traffic(): Promise<LinkTraffic> {
    const report = await this.#peer._pc?.getStats();
    let sentBytes = 0;
    let receivedBytes = 0;
    report?.forEach((entry: { type: string; bytesSent?: number; bytesReceived?: number }) => {
      if (entry.type !== 'transport') return;
      sentBytes += entry.bytesSent ?? 0;
      receivedBytes += entry.bytesReceived ?? 0;
    });
    return { sentBytes, receivedBytes };
  }

  #drain(): void {
    const channel = this.#peer._channel;
    while (this.isOpen && channel !== null && channel.bufferedAmount < LINK_BUFFER_HIGH_BYTES) {
      const chunk = this.#queue.shift();
      if (chunk === undefined) return;
      this.#peer.send(chunk);
    }
  }
}
