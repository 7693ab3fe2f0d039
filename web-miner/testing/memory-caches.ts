/** A browser's Cache storage in memory, as far as models use it; a test says how much it holds. */
export class MemoryCaches {
  readonly stored = new Map<string, Uint8Array<ArrayBuffer>>();
  /** Bytes that fit; what is more is refused as browsers refuse it. */
  room = Number.POSITIVE_INFINITY;

  get usedBytes(): number {
    return [...this.stored.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  readonly open = async () => ({
    match: async (url: string) => {
      const body = this.stored.get(url);
      return body === undefined ? undefined : new Response(body);
    },
    put: async (url: string, response: Response) => {
      const body = new Uint8Array(await response.arrayBuffer());
      if (this.usedBytes + body.byteLength > this.room) throw new DOMException('full', 'QuotaExceededError');
      this.stored.set(url, body);
    },
    delete: async (url: string) => this.stored.delete(url),
    keys: async () => [...this.stored.keys()].map((url) => ({ url })),
  });

  readonly delete = async () => false;
}
