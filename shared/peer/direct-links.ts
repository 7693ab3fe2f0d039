import { type Bytes, randomBytes, toBase64Url } from '../bytes.ts';
import { withDeadline } from '../deadline.ts';
import { LINK_DEADLINE_MS, MAX_LINKS } from '../limits.ts';
import { signalClaim } from '../protocol/signaling.ts';
import { openStatement, type Signed, type Signer } from '../signing/signed-statement.ts';

/**
 * What opens connections: a page's main thread, or a worker's proxy to it. Events name the link by its id and may come at any time after
 * {@link LinkPort.create}.
 */
export interface LinkPort {
  create(id: string, initiator: boolean): void;
  /** This side's session description. Rejects when the link dies before. */
  describe(id: string): Promise<string>;
  accept(id: string, type: 'offer' | 'answer', sdp: string): void;
  send(id: string, message: Bytes): void;
  close(id: string): void;
}

export interface LinkEvents {
  opened(id: string): void;
  closed(id: string): void;
  received(id: string, message: Bytes): void;
}

interface Link {
  readonly id: string;
  readonly peer: string;
  /** Whether this side offered. */
  readonly isOurs: boolean;
  state: 'opening' | 'open' | 'closed';
  usedAt: number;
  readonly opened: PromiseWithResolvers<boolean>;
}

export interface DirectLinksOptions {
  readonly signer: Signer;
  readonly onMessage: (peer: string, message: Bytes) => void;
  readonly onChange: (peer: string, open: boolean) => void;
}

/**
 * Links to other tabs and pages, one a pair, kept and used again. Session descriptions are signed with the identities of both sides, so
 * the router that passes them on cannot put itself in between.
 */
export class DirectLinks implements LinkEvents {
  readonly #port: LinkPort;
  readonly #options: DirectLinksOptions;
  readonly #links = new Map<string, Link>();

  constructor(port: LinkPort, options: DirectLinksOptions) {
    this.#port = port;
    this.#options = options;
  }

  isOpen(peer: string): boolean {
    return this.#linkTo(peer)?.state === 'open';
  }

  get openPeers(): string[] {
    return [...this.#links.values()].filter((link) => link.state === 'open').map((link) => link.peer);
  }

  /** `false` when there is no open link: nothing was sent. */
  send(peer: string, message: Bytes): boolean {
    const link = this.#linkTo(peer);
    if (link?.state !== 'open') return false;
    link.usedAt = Date.now();
    this.#port.send(link.id, message);
    return true;
  }

  /** Opens a link, or waits for the one that is opening. `exchange` carries the offer over and brings the answer back. */
  async connect(peer: string, exchange: (link: string, offer: Signed) => Promise<Signed | null>): Promise<boolean> {
    const existing = this.#linkTo(peer);
    if (existing !== null) return this.#untilOpen(existing);
    const link = this.#create(peer, toBase64Url(randomBytes(16)), true);
    try {
      const offer = await this.#signed(link, 'offer');
      const answer = await exchange(link.id, offer);
      if (answer === null) throw new Error('declined');
      const claim = await openStatement('signal', signalClaim, answer, peer);
      if (claim.link !== link.id || claim.type !== 'answer' || claim.to !== this.#options.signer.publicKey) {
        throw new Error('the answer belongs to another offer');
      }
      this.#port.accept(link.id, 'answer', claim.sdp);
      return await this.#untilOpen(link);
    } catch {
      this.#drop(link);
      // Both sides offered at once and theirs won: the link that was asked for is the one that they offered.
      const theirs = this.#linkTo(peer);
      return theirs !== null && (await this.#untilOpen(theirs));
    }
  }

  /** Takes an offer: the signed answer, or null when it is declined. */
  async answer(peer: string, id: string, offer: Signed): Promise<Signed | null> {
    if (this.#links.has(id)) return null;
    const claim = await openStatement('signal', signalClaim, offer, peer).catch(() => null);
    if (claim === null || claim.link !== id || claim.type !== 'offer' || claim.to !== this.#options.signer.publicKey)
      return null;
    const before = this.#linkTo(peer);
    // Both offered at once. Each side must choose the same offer, or each drops the one that the other waits for: the lower identity's wins.
    if (before?.isOurs === true && before.state === 'opening' && this.#options.signer.publicKey < peer) {
      await before.opened.promise; // Declined any sooner, they would give up before they hear of our offer.
      return null;
    }
    if (before !== null) this.#drop(before); // Theirs won, or they lost the link that there was.
    const link = this.#create(peer, id, false);
    void this.#untilOpen(link); // Nobody here waits for it, so nobody else would drop one that never opens.
    try {
      this.#port.accept(id, 'offer', claim.sdp);
      return await this.#signed(link, 'answer');
    } catch {
      this.#drop(link);
      return null;
    }
  }

  close(peer: string): void {
    const link = this.#linkTo(peer);
    if (link !== null) this.#drop(link);
  }

  closeAll(): void {
    for (const link of [...this.#links.values()]) this.#drop(link);
  }

  opened(id: string): void {
    const link = this.#links.get(id);
    if (link === undefined || link.state !== 'opening') return;
    link.state = 'open';
    link.opened.resolve(true);
    this.#options.onChange(link.peer, true);
  }

  closed(id: string): void {
    const link = this.#links.get(id);
    if (link !== undefined) this.#drop(link);
  }

  received(id: string, message: Bytes): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    this.opened(id); // The other side may see the link open, and speak, before this side does.
    link.usedAt = Date.now();
    this.#options.onMessage(link.peer, message);
  }

  #linkTo(peer: string): Link | null {
    for (const link of this.#links.values()) if (link.peer === peer) return link;
    return null;
  }

  #create(peer: string, id: string, isOurs: boolean): Link {
    this.#makeRoom();
    const link: Link = { id, peer, isOurs, state: 'opening', usedAt: Date.now(), opened: Promise.withResolvers() };
    this.#links.set(id, link);
    this.#port.create(id, isOurs);
    return link;
  }

  /** At most {@link MAX_LINKS}: the one that was used longest ago makes room. */
  #makeRoom(): void {
    if (this.#links.size < MAX_LINKS) return;
    const oldest = [...this.#links.values()].sort((a, b) => a.usedAt - b.usedAt)[0];
    if (oldest !== undefined) this.#drop(oldest);
  }

  async #signed(link: Link, type: 'offer' | 'answer'): Promise<Signed> {
    const sdp = await this.#port.describe(link.id);
    const claim = { v: 1, link: link.id, to: link.peer, type, sdp };
    return this.#options.signer.sign('signal', JSON.stringify(claim));
  }

  async #untilOpen(link: Link): Promise<boolean> {
    const open = await withDeadline(link.opened.promise, LINK_DEADLINE_MS, false);
    if (!open) this.#drop(link);
    return open;
  }

  #drop(link: Link): void {
    if (!this.#links.delete(link.id)) return;
    const wasOpen = link.state === 'open';
    link.state = 'closed';
    link.opened.resolve(false);
    this.#port.close(link.id);
    if (wasOpen) this.#options.onChange(link.peer, false);
  }
}

/** For tabs that open no direct links: every attempt fails at once. */
export const NO_LINKS: LinkPort = {
  create() {},
  describe: () => Promise.reject(new Error('direct links are off')),
  accept() {},
  send() {},
  close() {},
};
