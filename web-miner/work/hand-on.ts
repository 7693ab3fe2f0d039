import type { Bytes } from '../../shared/bytes.ts';
import type { DirectLinks } from '../../shared/peer/direct-links.ts';
import { lease as leaseSchema } from '../../shared/protocol/lease.ts';
import { encodePacket } from '../../shared/protocol/packets.ts';
import type { RouterToTab, TabToRouter } from '../../shared/protocol/tab-socket.ts';
import { encodeEnvelope } from '../../shared/sealing/envelope.ts';
import { parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';
import type { SentPath } from './answer-job.ts';
import type { KeptAnswer } from './kept-work.ts';
import { sealShown } from './shown-answer.ts';

export interface HandOnPorts {
  readonly links: DirectLinks;
  /** Whether this tab opens direct links at this moment: the visitor may switch them off while one is opening. */
  direct(): boolean;
  say(message: TabToRouter): void;
  relay(packet: Bytes): void;
}

/** The answering tab's part in the check of its own answer: it hands the sealed subtask on, and later shows the answer. */
export class HandOn {
  readonly #ports: HandOnPorts;
  /** Offers that wait for their answer. */
  readonly #offers = new Map<string, (signal: Signed | null) => void>();

  constructor(ports: HandOnPorts) {
    this.#ports = ports;
  }

  async handOn(message: Extract<RouterToTab, { t: 'handOn' }>, kept: KeptAnswer): Promise<void> {
    const check = parsePayload('lease', leaseSchema, message.wrap.lease);
    const packet = encodePacket('envelope', check.number, encodeEnvelope(message.wrap, kept.opened.sealed));
    const path = await this.#send(message.to, packet, message.direct);
    this.#ports.say({ t: 'handedOn', lease: message.wrap.lease, path, bytes: packet.byteLength });
  }

  async show(message: Extract<RouterToTab, { t: 'show' }>, kept: KeptAnswer): Promise<void> {
    const scope = { task: kept.opened.lease.task, check: message.check, chunk: message.chunk };
    const sealed = await sealShown(message.evidenceKey, scope, kept.answered.text);
    const isOpen = this.#ports.links.isOpen(message.to);
    await this.#send(message.to, encodePacket('shown', message.check, sealed), isOpen);
  }

  /** The router brought the answer to an offer; null: declined. */
  answered(link: string, signal: Signed | null): void {
    this.#offers.get(link)?.(signal);
  }

  /** Nobody waits for an answer any more. */
  close(): void {
    for (const settle of [...this.#offers.values()]) settle(null);
  }

  /** Over a direct link where both sides allow it and one opens in time, else by relay. */
  async #send(peer: string, packet: Bytes, direct: boolean): Promise<SentPath> {
    const { links } = this.#ports;
    const open =
      direct &&
      this.#ports.direct() &&
      (await links.connect(peer, (link, offer) => this.#exchange(link, peer, offer))) &&
      this.#ports.direct();
    if (open && links.send(peer, packet)) return 'direct';
    this.#ports.relay(packet);
    return 'relay';
  }

  #exchange(link: string, to: string, signal: Signed): Promise<Signed | null> {
    if (!this.#ports.direct()) return Promise.resolve(null);
    return new Promise((resolve) => {
      const timer = setTimeout(() => settle(null), SIGNAL_DEADLINE_MS);
      const settle = (answer: Signed | null) => {
        clearTimeout(timer);
        this.#offers.delete(link);
        resolve(answer);
      };
      this.#offers.set(link, settle);
      this.#ports.say({ t: 'offer', link, to, signal });
    });
  }
}

/** Longest wait for the answer to an offer, ms; the router gives up first. */
const SIGNAL_DEADLINE_MS = 5_000;
