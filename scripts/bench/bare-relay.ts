import { concatBytes, utf8 } from '../../shared/bytes.ts';
import { BATCH_TOKENS } from '../../web-miner/work/frame-batcher.ts';

function sseFrame(number: number, text: string, final: boolean): Uint8Array<ArrayBuffer> {
  const body = utf8(
    `data: {"choices":[{"index":0,"delta":{"content":"${text}"},"finish_reason":null}]}\n\n${final ? 'data: [DONE]\n\n' : ''}`,
  );
  const header = new Uint8Array(5);
  new DataView(header.buffer).setUint32(0, number);
  header[4] = final ? 1 : 0;
  return concatBytes(header, body);
}

/** Tabs of the bare relay: they send finished event-stream bytes, unsealed, as fast as they are taken. */
export async function bareTabs(
  url: string,
  count: number,
): Promise<{ setPrefill(ms: number): void; setTokens(tokens: number): void; close(): void }> {
  const socketUrl = url.replace('http', 'ws');
  let prefillMs = 0;
  let tokens = 1;
  const answer = async (socket: WebSocket, number: number) => {
    if (prefillMs > 0) await new Promise((resolve) => setTimeout(resolve, prefillMs));
    // As real tabs do: the first token at once, then batches of eight.
    socket.send(sseFrame(number, 'token', tokens === 1));
    for (let sent = 1; sent < tokens; sent += BATCH_TOKENS) {
      const batch = Math.min(BATCH_TOKENS, tokens - sent);
      socket.send(sseFrame(number, 'token'.repeat(batch), sent + batch >= tokens));
    }
  };
  const sockets = await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = new WebSocket(`${socketUrl}/tab`);
      await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }));
      socket.addEventListener('message', ({ data }: MessageEvent<string>) => {
        const { number, session } = JSON.parse(data) as { number: number; session: string | null };
        if (session === null) return void answer(socket, number);
        const own = new WebSocket(`${socketUrl}/session/${session}`);
        own.addEventListener('open', () => void answer(own, number).then(() => setTimeout(() => own.close(), 500)));
      });
      return socket;
    }),
  );
  return {
    setPrefill: (ms) => {
      prefillMs = ms;
    },
    setTokens: (count) => {
      tokens = count;
    },
    close: () => {
      for (const socket of sockets) socket.close();
    },
  };
}
