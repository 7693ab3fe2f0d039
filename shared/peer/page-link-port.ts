import type { LinkEvents, LinkPort } from './direct-links.ts';
import type { LinkTraffic, PeerLink } from './peer-link.ts';

export interface PageLinkPort extends LinkPort {
  /** Closes every link: whoever used them is gone. */
  closeAll(): void;
  /** Bytes on the wire of all links that this port ever opened. */
  totalTraffic(): Promise<LinkTraffic>;
}

const NONE: LinkTraffic = { sentBytes: 0, receivedBytes: 0 };

/** Links of a page's main thread, the only place where WebRTC exists. The library is loaded with the first link. */
export function pageLinkPort(events: () => LinkEvents, iceServers: readonly RTCIceServer[] = []): PageLinkPort {
  const links = new Map<string, Promise<PeerLink>>();
  let closedTraffic = NONE;

  async function open(id: string, initiator: boolean): Promise<PeerLink> {
    const { PeerLink } = await import('./peer-link.ts');
    return new PeerLink({
      initiator,
      iceServers,
      onMessage: (message) => events().received(id, message),
      onOpen: () => events().opened(id),
      onClose: () => events().closed(id),
    });
  }

  const trafficOf = async (id: string) =>
    (await links
      .get(id)
      ?.then((link) => link.traffic())
      .catch(() => NONE)) ?? NONE;

  /** A link that cannot do what is asked of it is closed, as one that broke by itself. */
  const use = (id: string, act: (link: PeerLink) => void) => {
    links
      .get(id)
      ?.then(act)
      .catch(() => events().closed(id));
  };

  function close(id: string): void {
    const link = links.get(id);
    if (link === undefined) return;
    void trafficOf(id).then((traffic) => {
      closedTraffic = sum(closedTraffic, traffic);
    });
    links.delete(id);
    link.then((open) => open.close()).catch(() => undefined); // One that could not be opened need not be closed.
  }

  return {
    create(id, initiator) {
      const link = open(id, initiator);
      link.catch(() => events().closed(id));
      links.set(id, link);
    },
    describe: async (id) => {
      const link = await links.get(id);
      if (link === undefined) throw new Error('no such link');
      return link.describe();
    },
    accept: (id, type, sdp) => use(id, (link) => link.accept(type, sdp)),
    send: (id, message) => use(id, (link) => void link.send(message)),
    close,
    closeAll() {
      for (const id of [...links.keys()]) close(id);
    },
    async totalTraffic() {
      const each = await Promise.all([...links.keys()].map(trafficOf));
      return each.reduce(sum, closedTraffic);
    },
  };
}

function sum(a: LinkTraffic, b: LinkTraffic): LinkTraffic {
  return { sentBytes: a.sentBytes + b.sentBytes, receivedBytes: a.receivedBytes + b.receivedBytes };
}
