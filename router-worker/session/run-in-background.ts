import type { Env } from '../env.ts';
import { createApp } from '../http/app.ts';
import type { BackgroundCall, BackgroundReply } from './background-runs.ts';

/** Puts a request to the router's own HTTP surface, within this process: it is verified, answered and refused as it would have been for its client. */
export async function runInBackground(
  env: Env,
  { url, headers, body }: BackgroundCall,
  named: (task: string) => void,
): Promise<BackgroundReply> {
  const after: Promise<unknown>[] = [];
  const response = await createApp().fetch(
    new Request(url, { method: 'POST', headers, body }),
    { ...env, BACKGROUND: named },
    {
      waitUntil: (promise) => void after.push(promise),
      passThroughOnException: () => undefined,
      props: {},
    },
  );
  return { response, settled: Promise.allSettled(after).then(() => undefined) };
}
