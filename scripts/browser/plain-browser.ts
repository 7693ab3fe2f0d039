import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { withDeadline } from '../../shared/deadline.ts';
import type { FoundBrowser } from './find-browser.ts';

/**
 * A Chromium as it is, spoken to over a pipe. Playwright keeps every page awake (it emulates focus), so that no page of its browsers is ever hidden or
 * frozen; here pages live as they do for a person.
 */
export interface PlainBrowser {
  /** `HeadlessChrome/153.0.8010.0`. */
  readonly product: string;
  open(url: string): Promise<PlainPage>;
  /** What a person would be asked for, as `idleDetection`. */
  grant(permission: string, origin: string): Promise<void>;
  close(): Promise<void>;
}

export interface PlainBrowserOptions {
  readonly flags?: readonly string[];
  /** What the browser finds as its `Local State`, where settings of the whole browser are kept. */
  readonly localState?: object;
}

/** A tab, and the workers of its page. */
export interface PlainPage {
  /** Of the page's own session, as the DevTools protocol has it. */
  send(method: string, params?: object): Promise<Record<string, unknown>>;
  /** The value of an expression, which may be a promise; it must be JSON. `asPerson`: as if somebody had clicked. Throws when the page does. */
  evaluate<T>(expression: string, asPerson?: boolean): Promise<T>;
  /** Resolves when the expression is truthy. Throws after the deadline, ms. */
  until(expression: string, what: string, deadlineMs?: number): Promise<void>;
  /** Puts this tab in front of the others of its window. */
  toFront(): Promise<void>;
  /** Messages that the page's workers have sent over WebSockets so far, those of text. */
  readonly sent: readonly string[];
  close(): Promise<void>;
}

const CALL_DEADLINE_MS = 20_000;
const LOOK_EVERY_MS = 50;

const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--no-first-run',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
  '--remote-debugging-pipe',
  'about:blank',
];

interface Reply {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly sessionId?: string;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

export async function launchPlainBrowser(
  found: FoundBrowser,
  { flags = [], localState }: PlainBrowserOptions = {},
): Promise<PlainBrowser> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-browser-'));
  if (localState !== undefined) await writeFile(join(folder, 'Local State'), JSON.stringify(localState));
  const child = spawn(found.executable, [...flags, `--user-data-dir=${folder}`, ...FLAGS], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...found.env },
  });
  const close = async () => {
    if (child.exitCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }).catch(() => undefined);
  };
  try {
    const [, , , down, up] = child.stdio;
    const wire = new Wire(down as Writable, up as Readable);
    child.once('error', (cause) => wire.ended(cause.message));
    child.once('exit', () => wire.ended('it ended'));
    const { product } = await wire.call('Browser.getVersion');
    return {
      product: String(product),
      open: (url) => openPage(wire, url),
      grant: async (permission, origin) =>
        void (await wire.call('Browser.grantPermissions', { permissions: [permission], origin })),
      close,
    };
  } catch (cause) {
    await close();
    throw cause;
  }
}

async function openPage(wire: Wire, url: string): Promise<PlainPage> {
  const { targetId } = await wire.call('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await wire.call('Target.attachToTarget', { targetId, flatten: true });
  const page = String(sessionId);
  const sent: string[] = [];
  const sessions = new Set([page]);
  wire.listen((event) => {
    if (event.sessionId === undefined || !sessions.has(event.sessionId)) return;
    if (event.method === 'Target.attachedToTarget') {
      const worker = String(event.params?.sessionId);
      sessions.add(worker);
      void watchWorker(wire, worker);
    }
    if (event.method !== 'Network.webSocketFrameSent') return;
    const frame = event.params?.response as { readonly opcode: number; readonly payloadData: string };
    if (frame.opcode === 1) sent.push(frame.payloadData);
  });
  const send = (method: string, params: object = {}) => wire.call(method, params, page);
  const autoAttach = { autoAttach: true, waitForDebuggerOnStart: true, flatten: true };
  await send('Target.setAutoAttach', autoAttach);
  await send('Page.enable');
  await send('Page.navigate', { url });
  const evaluate = async <T>(expression: string, asPerson = false): Promise<T> => {
    const asked = { expression, returnByValue: true, awaitPromise: true, userGesture: asPerson };
    const { result, exceptionDetails } = (await send('Runtime.evaluate', asked)) as {
      readonly result: { readonly value: T };
      readonly exceptionDetails?: { readonly text: string };
    };
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${exceptionDetails.text}`);
    return result.value;
  };
  return {
    send,
    evaluate,
    async until(expression, what, deadlineMs = 30_000) {
      for (const end = Date.now() + deadlineMs; Date.now() < end; ) {
        // A page that goes elsewhere in the middle of a look is looked at again.
        if (await evaluate<boolean>(`Boolean(${expression})`).catch(() => false)) return;
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      }
      throw new Error(`waited in vain: ${what}`);
    },
    async toFront() {
      await wire.call('Target.activateTarget', { targetId });
      await send('Page.bringToFront');
    },
    sent,
    async close() {
      await wire.call('Target.closeTarget', { targetId });
    },
  };
}

/** A worker waits until somebody listens to its network. */
async function watchWorker(wire: Wire, session: string): Promise<void> {
  await wire.call('Network.enable', {}, session).catch(() => undefined);
  await wire.call('Runtime.runIfWaitingForDebugger', {}, session).catch(() => undefined);
}

/** The DevTools protocol over a pipe: JSON, each message ended by a zero byte. */
class Wire {
  readonly #down: Writable;
  readonly #waiting = new Map<number, PromiseWithResolvers<Record<string, unknown>>>();
  readonly #listeners: ((event: Reply) => void)[] = [];
  #calls = 0;
  #end: string | null = null;

  constructor(down: Writable, up: Readable) {
    this.#down = down;
    down.on('error', () => undefined); // The end of the process says more.
    let rest = '';
    up.setEncoding('utf8');
    up.on('data', (chunk: string) => {
      const messages = (rest + chunk).split('\0');
      rest = messages.pop() ?? '';
      for (const message of messages) this.#receive(JSON.parse(message) as Reply);
    });
  }

  async call(method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> {
    if (this.#end !== null) throw new Error(`The browser is gone: ${this.#end}.`);
    const id = ++this.#calls;
    const reply = Promise.withResolvers<Record<string, unknown>>();
    this.#waiting.set(id, reply);
    this.#down.write(`${JSON.stringify({ id, method, params, ...(sessionId !== undefined && { sessionId }) })}\0`);
    const result = await withDeadline(reply.promise, CALL_DEADLINE_MS, null);
    this.#waiting.delete(id);
    if (result === null) throw new Error(`${method}: the browser did not answer.`);
    return result;
  }

  listen(onEvent: (event: Reply) => void): void {
    this.#listeners.push(onEvent);
  }

  ended(why: string): void {
    this.#end = why;
    for (const waiting of this.#waiting.values()) waiting.reject(new Error(`The browser is gone: ${why}.`));
  }

  #receive(reply: Reply): void {
    if (reply.id === undefined) {
      for (const onEvent of this.#listeners) onEvent(reply);
      return;
    }
    const waiting = this.#waiting.get(reply.id);
    if (reply.error === undefined) waiting?.resolve(reply.result ?? {});
    else waiting?.reject(new Error(reply.error.message));
  }
}
