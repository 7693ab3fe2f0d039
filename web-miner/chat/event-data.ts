/** The `data` of server-sent events that have one line each, as the router's do; comments are passed over. `onBytes` hears how many came. */
export async function* eventData(
  body: ReadableStream<Uint8Array>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<string, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let open = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (value !== undefined) onBytes(value.byteLength);
      const lines = (open + decoder.decode(value, { stream: !done })).split('\n');
      open = lines.pop() ?? '';
      for (const line of lines) if (line.startsWith('data: ')) yield line.slice('data: '.length).trimEnd();
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
