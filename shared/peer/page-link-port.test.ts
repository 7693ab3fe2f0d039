import { afterEach, expect, it, vi } from 'vitest';
import { pageLinkPort } from './page-link-port.ts';

/** Stands in for the link itself: WebRTC exists in browsers only. */
const made = vi.hoisted(() => [] as { breaks: boolean; closed: boolean }[]);
vi.mock('./peer-link.ts', () => ({
  PeerLink: class {
    breaks = false;
    closed = false;
    constructor() {
      made.push(this);
    }
    accept() {
      if (this.breaks) throw new Error('cannot signal after peer is destroyed');
    }
    send() {
      if (this.breaks) throw new Error('cannot send after peer is destroyed');
    }
    close() {
      this.closed = true;
    }
    async traffic() {
      return { sentBytes: 2, receivedBytes: 3 };
    }
  },
}));
afterEach(() => void made.splice(0));

function port() {
  const closed: string[] = [];
  const events = { opened: () => undefined, closed: (id: string) => closed.push(id), received: () => undefined };
  return { closed, links: pageLinkPort(() => events) };
}

it.each([
  ['accept', (links: ReturnType<typeof pageLinkPort>) => links.accept('a', 'answer', 'sdp')],
  ['send', (links: ReturnType<typeof pageLinkPort>) => links.send('a', new Uint8Array(1))],
])('a link that cannot %s is closed, and nothing is thrown at nobody', async (_, act) => {
  const { closed, links } = port();
  links.create('a', true);
  await vi.waitUntil(() => made.length === 1);
  made[0]!.breaks = true;
  act(links);
  await vi.waitUntil(() => closed.length === 1);
  expect(closed).toEqual(['a']);
});

it('all links close at once, and their bytes stay counted', async () => {
  const { links } = port();
  links.create('a', true);
  links.create('b', false);
  await vi.waitUntil(() => made.length === 2);
  expect(await links.totalTraffic()).toEqual({ sentBytes: 4, receivedBytes: 6 });
  links.closeAll();
  await vi.waitUntil(() => made.every((link) => link.closed));
  await vi.waitUntil(async () => (await links.totalTraffic()).sentBytes === 4);
  links.send('a', new Uint8Array(1));
});
