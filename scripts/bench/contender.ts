import type { RawWorkerd } from './raw-workerd.ts';

export interface Sample {
  /** Request sent to first content byte, ms. */
  readonly firstMs: number;
  readonly totalMs: number;
}

/** One of the servers that are measured side by side. */
export interface Contender {
  readonly name: string;
  readonly server: RawWorkerd;
  setPrefill(ms: number): void;
  /** Time that the tab itself took to its first frame, ms; reset by reading. */
  takeTabMs(): number[];
  ask(tokens: number): Promise<Sample>;
}

/** Reads an event stream to its end. Throws when it breaks. */
export async function readStream(response: Response, startedAt: number): Promise<Sample> {
  if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  let firstMs = 0;
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    if (firstMs === 0 && text.includes('"content":"token')) firstMs = performance.now() - startedAt;
  }
  if (!text.includes('[DONE]')) throw new Error(`the stream broke: ${text.slice(-200)}`);
  return { firstMs, totalMs: performance.now() - startedAt };
}
