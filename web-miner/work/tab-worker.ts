/// <reference lib="webworker" />
import { engineFor } from '../engine/engine-for.ts';
import { keepData, loadBudget } from '../identity/budget-store.ts';
import { loadIdentity } from '../identity/identity-store.ts';
import { Lending } from './start-lending.ts';
import { WorkerLinkPort } from './worker-link-port.ts';
import type { PageToWorker, WorkerToPage } from './worker-messages.ts';

/** Entry of the worker: socket, keys, sealing and engine live here, off the page's main thread and its throttled timers. */

const post = (message: WorkerToPage) => self.postMessage(message);
let lending: Lending | null = null;
let goodbye: Int32Array | null = null;
let answerShortage: (weights: readonly string[]) => void = () => undefined;
const links = new WorkerLinkPort(post, (bytes) => lending?.moved(bytes));

self.onmessage = (event: MessageEvent<PageToWorker>) => {
  const message = event.data;
  if (links.receive(message)) return;
  switch (message.t) {
    case 'start':
      start(message).catch((cause: unknown) => {
        const reason = cause instanceof Error ? cause.message : String(cause);
        const phase = { phase: 'failed', reason, next: 'Reload the page and start again.' } as const;
        post({ t: 'phase', phase, identityKept: false });
      });
      return;
    case 'areYouAlive':
      return post({ t: 'alive' });
    case 'stop':
      void lending?.stop();
      lending = null;
      return;
    case 'finish':
      void lending?.finish();
      return;
    case 'testDevice':
      void lending?.testDevice();
      return;
    case 'direct':
      lending?.setDirect(message.direct);
      return;
    case 'budget':
      lending?.setBudget(message.settings);
      return;
    case 'drop':
      answerShortage(message.weights);
      return;
    case 'signals':
      lending?.see(message.signals);
      if (message.signals.isAway && goodbye !== null) Atomics.add(goodbye, 0, 1);
      return;
  }
};

/** A worker lends once: the page makes a new one for the next time. */
async function start(message: Extract<PageToWorker, { t: 'start' }>): Promise<void> {
  goodbye = message.goodbye === null ? null : new Int32Array(message.goodbye);
  const [{ identity, kept }, { data }] = await Promise.all([loadIdentity(), loadBudget()]);
  lending = new Lending({
    origin: message.origin,
    model: message.model,
    device: message.device,
    budget: {
      settings: message.budget,
      signals: message.signals,
      data,
      keepData: (counted) => void keepData(counted),
    },
    direct: message.direct,
    checkOnly: message.checkOnly,
    guard: message.guard,
    identity,
    arithmetic: message.arithmetic,
    engineFor: (served) => engineFor(served, message.wasmUrl),
    links: (events) => links.bind(events),
    onShortage: (shortage) =>
      new Promise((resolve) => {
        answerShortage = resolve;
        post({ t: 'shortage', shortage });
      }),
    onPhase: (phase) => post({ t: 'phase', phase, identityKept: kept }),
  });
  await lending.run();
}
