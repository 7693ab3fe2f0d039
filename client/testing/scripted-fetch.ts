import { PROTOCOL_VERSION } from '../../shared/protocol/version.ts';
import { type ScriptedRouter, ScriptedStream } from '../../shared/sealed-task/testing/scripted-router.ts';
import type { OpenedEnvelope } from '../../shared/sealing/envelope.ts';

export interface ScriptedNetwork {
  readonly fetcher: typeof fetch;
  /** The stream of the task that is opened. */
  readonly stream: ScriptedStream;
  /** By the last part of the path that was asked for. */
  readonly signals: Map<string, AbortSignal>;
  /** Leases the task; resolves when the tab has the prompt. */
  readonly begin: () => Promise<OpenedEnvelope>;
}

/** A router behind a fetch: what a path answers is up to the test, and it honours signals as fetch does. */
export function scriptedFetch(
  router: ScriptedRouter,
  part: { readonly [path: string]: () => Promise<Response> } = {},
): ScriptedNetwork {
  const stream = new ScriptedStream();
  const signals = new Map<string, AbortSignal>();
  const asked = Promise.withResolvers<{ client: string; nonce: string }>();
  const envelope = Promise.withResolvers<OpenedEnvelope>();
  const answers: { readonly [path: string]: () => Promise<Response> } = {
    'shoal.json': async () =>
      Response.json({ protocol: PROTOCOL_VERSION, router_keys: [{ key: router.signer.publicKey }] }),
    tasks: async () => new Response(stream.stream),
    envelope: async () => new Response(null, { status: 204 }),
    ...part,
  };
  const fetcher: typeof fetch = async (input, init) => {
    const path = String(input).split('/').at(-1) ?? '';
    const { signal } = init ?? {};
    signal?.throwIfAborted();
    if (signal != null) signals.set(path, signal);
    if (path === 'tasks') asked.resolve(JSON.parse(String(init?.body)));
    if (path === 'envelope') envelope.resolve(router.open(init?.body as Uint8Array<ArrayBuffer>));
    const aborted = Promise.withResolvers<never>();
    signal?.addEventListener('abort', () => aborted.reject(signal.reason));
    return Promise.race([answers[path]?.() ?? Response.error(), aborted.promise]);
  };
  const begin = async () => {
    stream.event(await router.leased(router.lease(await asked.promise)));
    return envelope.promise;
  };
  return { fetcher, stream, signals, begin };
}
