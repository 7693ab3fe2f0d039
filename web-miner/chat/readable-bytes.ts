import * as v from 'valibot';

const DEADLINE_MS = 10_000;
const taskView = v.object({ router_read: v.object({ prompt_bytes: v.number(), answer_bytes: v.number() }) });

/** Bytes of prompt and answer that the router could read of a task, by its own count; `null` when it cannot be asked. */
export async function fetchReadableBytes(task: string): Promise<number | null> {
  try {
    const response = await fetch(`/v1/tasks/${task}`, { signal: AbortSignal.timeout(DEADLINE_MS) });
    const { router_read: read } = v.parse(taskView, await response.json());
    return read.prompt_bytes + read.answer_bytes;
  } catch {
    return null;
  }
}
