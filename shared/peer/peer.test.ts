import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { type Bytes, concatBytes, utf8 } from '../bytes.ts';
import { LINK_CHUNK_BYTES, LINK_DEADLINE_MS, MAX_LINKS } from '../limits.ts';
import { generateSigningKeys, type Signed, type Signer, signerOf } from '../signing/signed-statement.ts';
import { backoffDelayMs, SOCKET_BACKOFF } from './backoff.ts';
import { DirectLinks, type LinkPort, NO_LINKS } from './direct-links.ts';
import { chunksOf, MessageAssembler } from './message-chunks.ts';

describe('coming back', () => {
  it('waits longer each time, never for ever, and never all at once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1000 }), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, draw) => {
        const delay = backoffDelayMs(SOCKET_BACKOFF, attempt, draw);
        expect(delay).toBeGreaterThanOrEqual(SOCKET_BACKOFF.firstMs * 0.2);
        expect(delay).toBeLessThanOrEqual(SOCKET_BACKOFF.maxMs);
      }),
    );
    expect(backoffDelayMs(SOCKET_BACKOFF, 3, 0.1)).not.toBe(backoffDelayMs(SOCKET_BACKOFF, 3, 0.9));
  });
});

describe('messages on a data channel', () => {
  it('of any size come back whole and in order, whatever the chunks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 3 * LINK_CHUNK_BYTES }), { maxLength: 4 }),
        fc.integer({ min: 1, max: 20_000 }),
        (sizes, cut) => {
          const messages = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
          const chunks = messages.flatMap(chunksOf);
          expect(chunks.every((chunk) => chunk.byteLength <= LINK_CHUNK_BYTES)).toBe(true);
          const bytes = concatBytes(...chunks);
          const assembler = new MessageAssembler();
          const out: Bytes[] = [];
          for (let at = 0; at < bytes.byteLength; at += cut) out.push(...assembler.push(bytes.subarray(at, at + cut)));
          expect(out.map((message) => [message.byteLength, message[0]])).toEqual(
            messages.map((m) => [m.byteLength, m[0]]),
          );
        },
      ),
      { numRuns: 40 },
    );
  });

  it('that claim to be longer than any packet are refused', () => {
    expect(() => new MessageAssembler().push(new Uint8Array([255, 0, 0, 0]))).toThrow('too long');
  });
});

/** Two sides joined in memory, in place of WebRTC: `open` joins them once both have both descriptions. */
class PairedPort implements LinkPort {
  other: PairedPort | null = null;
  links: DirectLinks | null = null;
  readonly created = new Set<string>();
  readonly offered = new Set<string>();
  opens = true;
  /** What this side closes, the other does not hear of. */
  isMute = false;

  create(id: string, initiator: boolean): void {
    this.created.add(id);
    if (initiator) this.offered.add(id);
  }
  async describe(id: string): Promise<string> {
    return `sdp of ${id}`;
  }
  accept(id: string, type: 'offer' | 'answer'): void {
    if (type === 'answer' && this.opens) {
      queueMicrotask(() => {
        this.links?.opened(id);
        this.other?.links?.opened(id);
      });
    }
  }
  send(id: string, message: Bytes): void {
    queueMicrotask(() => this.other?.links?.received(id, message));
  }
  close(id: string): void {
    this.created.delete(id);
    if (!this.isMute) queueMicrotask(() => this.other?.links?.closed(id));
  }
}

/** Nobody goes on before `count` are here. */
function meeting(count: number): () => Promise<void> {
  const full = Promise.withResolvers<void>();
  let here = 0;
  return () => {
    if (++here === count) full.resolve();
    return full.promise;
  };
}

async function newSigner(): Promise<Signer> {
  const { pair, publicKey } = await generateSigningKeys();
  return signerOf(pair.privateKey, publicKey);
}

async function twoSides() {
  const [a, b] = [new PairedPort(), new PairedPort()];
  [a.other, b.other] = [b, a];
  const [signerA, signerB] = [await newSigner(), await newSigner()];
  const received: string[] = [];
  const changes: boolean[] = [];
  const onMessage = (_: string, message: Bytes) => received.push(new TextDecoder().decode(message));
  a.links = new DirectLinks(a, { signer: signerA, onMessage, onChange: (_, open) => changes.push(open) });
  b.links = new DirectLinks(b, { signer: signerB, onMessage, onChange: () => undefined });
  const linksB = b.links;
  const exchange = (id: string, offer: Signed) => linksB.answer(signerA.publicKey, id, offer);
  return { a, b, linksA: a.links, linksB, signerA, signerB, received, changes, exchange };
}

describe('direct links', () => {
  it('open with one offer and one answer, carry messages both ways, and are used again', async () => {
    const { a, linksA, linksB, signerA, signerB, received, exchange } = await twoSides();
    expect(await linksA.connect(signerB.publicKey, exchange)).toBe(true);
    expect(await linksA.connect(signerB.publicKey, () => Promise.reject(new Error('a second offer')))).toBe(true);
    expect(linksA.send(signerB.publicKey, utf8('there'))).toBe(true);
    expect(linksB.send(signerA.publicKey, utf8('back'))).toBe(true);
    await Promise.resolve();
    await Promise.resolve();
    expect(received.sort()).toEqual(['back', 'there']);
    expect(a.created.size).toBe(1);
  });

  it('do not open when the answer is signed by somebody else, is for another offer, or is declined', async () => {
    const { linksA, signerB, signerA, exchange } = await twoSides();
    const stranger = await newSigner();
    const forged = async (id: string) =>
      stranger.sign('signal', JSON.stringify({ v: 1, link: id, to: signerA.publicKey, type: 'answer', sdp: 'x' }));
    expect(await linksA.connect(signerB.publicKey, forged)).toBe(false);
    expect(await linksA.connect(signerB.publicKey, async (_, offer) => exchange('A'.repeat(22), offer))).toBe(false);
    expect(await linksA.connect(signerB.publicKey, async () => null)).toBe(false);
    expect(await linksA.connect(signerB.publicKey, exchange)).toBe(true);
  });

  it('refuse an offer that is not signed by whom it claims to come from', async () => {
    const { linksB, signerB } = await twoSides();
    const stranger = await newSigner();
    const offer = await stranger.sign(
      'signal',
      JSON.stringify({ v: 1, link: 'A'.repeat(22), to: signerB.publicKey, type: 'offer', sdp: 'x' }),
    );
    expect(await linksB.answer((await newSigner()).publicKey, 'A'.repeat(22), offer)).toBeNull();
    const wrongTarget = await stranger.sign(
      'signal',
      JSON.stringify({ v: 1, link: 'A'.repeat(22), to: stranger.publicKey, type: 'offer', sdp: 'x' }),
    );
    expect(await linksB.answer(stranger.publicKey, 'A'.repeat(22), wrongTarget)).toBeNull();
  });

  it('tell when they break, and send nothing afterwards', async () => {
    const { a, linksA, signerB, exchange, changes } = await twoSides();
    await linksA.connect(signerB.publicKey, exchange);
    linksA.closed([...a.created][0]!);
    expect(changes).toEqual([true, false]);
    expect(linksA.send(signerB.publicKey, utf8('x'))).toBe(false);
  });

  it('open once when both sides offer at the same time: the offer of the lower identity wins', async () => {
    for (let round = 0; round < 4; round++) {
      const { a, b, linksA, linksB, signerA, signerB, received } = await twoSides();
      // Both offers are under way before either arrives.
      const crossed = meeting(2);
      const [fromA, fromB] = await Promise.all([
        linksA.connect(signerB.publicKey, async (id, offer) => {
          await crossed();
          return linksB.answer(signerA.publicKey, id, offer);
        }),
        linksB.connect(signerA.publicKey, async (id, offer) => {
          await crossed();
          return linksA.answer(signerB.publicKey, id, offer);
        }),
      ]);
      expect([fromA, fromB]).toEqual([true, true]);
      expect([...a.created]).toEqual([...b.created]);
      expect(a.created.size).toBe(1);
      const offerers = [a, b].map((port) => port.offered.has([...port.created][0]!));
      const isLower = signerA.publicKey < signerB.publicKey;
      expect(offerers).toEqual([isLower, !isLower]);
      expect(linksA.send(signerB.publicKey, utf8('there'))).toBe(true);
      expect(linksB.send(signerA.publicKey, utf8('back'))).toBe(true);
      await Promise.resolve();
      await Promise.resolve();
      expect(received.sort()).toEqual(['back', 'there']);
    }
  });

  it('that one side lost are opened again by its offer, whoever sorts lower', async () => {
    const { a, b, linksA, linksB, signerA, signerB, exchange } = await twoSides();
    const back = (id: string, offer: Signed) => linksA.answer(signerB.publicKey, id, offer);
    await linksA.connect(signerB.publicKey, exchange);
    for (const [port, links, peer, way] of [
      [a, linksA, signerB, exchange],
      [b, linksB, signerA, back],
    ] as const) {
      port.isMute = true; // The other side does not hear that the link is gone.
      links.closeAll();
      port.isMute = false;
      expect(await links.connect(peer.publicKey, way)).toBe(true);
      expect([linksA.openPeers, linksB.openPeers]).toEqual([[signerB.publicKey], [signerA.publicKey]]);
    }
  });

  it('that were answered and never open are dropped in time', async () => {
    const { a, b, linksA, signerB, exchange } = await twoSides();
    a.opens = false;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const connecting = linksA.connect(signerB.publicKey, async (id, offer) => {
        const answer = await exchange(id, offer);
        a.isMute = true; // The offering side vanishes without a word.
        return answer;
      });
      await vi.waitUntil(() => b.created.size === 1 && a.isMute);
      await vi.advanceTimersByTimeAsync(LINK_DEADLINE_MS);
      expect(await connecting).toBe(false);
      expect(b.created.size).toBe(0);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it('are at most so many: the one that was idle longest makes room', async () => {
    const { a, linksA } = await twoSides();
    for (let i = 0; i < MAX_LINKS + 3; i++) void linksA.connect(`peer ${i}`, () => new Promise(() => undefined));
    expect(a.created.size).toBe(MAX_LINKS);
  });

  it('never open where they are switched off', async () => {
    const signer = await newSigner();
    const links = new DirectLinks(NO_LINKS, { signer, onMessage: () => undefined, onChange: () => undefined });
    expect(await links.connect('peer', async () => null)).toBe(false);
    expect(links.send('peer', utf8('x'))).toBe(false);
  });
});
