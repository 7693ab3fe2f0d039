import type { LinkEvents, LinkPort } from './direct-links.ts';
import type { LinkTraffic, PeerLink } from './peer-link.ts';

export interface PageLinkPort extends LinkPort {
  /** Bytes on the wire of one link, and of all links that this port ever opened. */
  traffic(id: string): Promise<LinkTraffic>;
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
    accept: (id, type, sdp) => void links.get(id)?.then((link) => link.accept(type, sdp)),
    send: (id, message) => void links.get(id)?.then((link) => link.send(message)),
    close(id) {
      const link = links.get(id);
      if (link === undefined) return;
      void trafficOf(id).then((traffic) => {
        closedTraffic = sum(closedTraffic, traffic);
      });
      links.delete(id);
      void link.then((open) => open.close());
    },
    traffic: trafficOf,
    async totalTraffic() {
      const each = await Promise.all([...links.keys()].map(trafficOf));
      return each.reduce(sum, closedTraffic);
    },
  };
}

function sum(a: LinkTraffic, b: LinkTraffic): LinkTraffic {
  return { sentBytes: a.sentBytes + b.sentBytes, receivedBytes: a.receivedBytes + b.receivedBytes };
}
