import * as v from 'valibot';
import type { Bytes } from '../shared/bytes.ts';
import { ShoalError } from '../shared/errors.ts';
import {
  ENVELOPE_CONTENT_TYPE,
  linkResponse,
  SESSION_HEADER,
  type SealedTaskRequest,
  TASK_TOKEN_HEADER,
} from '../shared/protocol/sealed-task-api.ts';
import { taskId } from '../shared/protocol/task-ids.ts';
import { PROTOCOL_VERSION } from '../shared/protocol/version.ts';
import type { Wrap } from '../shared/sealing/envelope.ts';
import { key32, type Signed, signed } from '../shared/signing/signed-statement.ts';

const wellKnown = v.object({
  protocol: v.pipe(v.number(), v.safeInteger()),
  router_keys: v.pipe(v.array(v.object({ key: key32 })), v.minLength(1)),
});

const errorBody = v.object({ error: v.looseObject({ code: v.unknown(), message: v.unknown() }) });

const CALL_DEADLINE_MS = 20_000;

export interface TaskAccess {
  readonly task: string;
  readonly token: string;
}

/** The HTTP calls of a client that seals for itself. Throws {@link ShoalError}. */
export class RouterCalls {
  readonly #origin: string;
  readonly #fetch: typeof fetch;

  /** Throws `insecure_transport` for plain http:// to anything but this machine. */
  constructor(baseUrl: string, fetcher: typeof fetch) {
    const url = new URL(baseUrl);
    const local = /^(?:localhost|127\.0\.0\.1|\[::1\]|.+\.localhost)$/.test(url.hostname);
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && local)) {
      throw new ShoalError('insecure_transport', `${url.origin} would carry keys and addresses readable.`);
    }
    this.#origin = url.origin;
    this.#fetch = fetcher;
  }

  /** The keys that the router publishes. */
  async routerKeys(): Promise<string[]> {
    const parsed = v.safeParse(wellKnown, await this.get('/.well-known/shoal.json'));
    if (!parsed.success) throw new ShoalError('integrity_failed', 'This address is not a Shoal router.');
    if (parsed.output.protocol !== PROTOCOL_VERSION) {
      throw new ShoalError('version_unsupported', `The router speaks version ${parsed.output.protocol}.`);
    }
    return parsed.output.router_keys.map(({ key }) => key);
  }

  /** `bearer`: whose account pays; null: nobody's. `session`: one that was set up; null: none. */
  async openTask(
    request: SealedTaskRequest,
    signal: AbortSignal,
    bearer: string | null = null,
    session: string | null = null,
  ): Promise<ReadableStream<Uint8Array>> {
    const headers: Record<string, string> = {
      ...(bearer !== null && { authorization: `Bearer ${bearer}` }),
      ...(session !== null && { [SESSION_HEADER]: session }),
    };
    return this.#stream('/v1/tasks', JSON.stringify(request), headers, signal);
  }

  async reattach(
    access: TaskAccess,
    lease: Signed,
    from: number,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    const path = `/v1/tasks/${taskId(access.task)}/stream`;
    return this.#stream(path, JSON.stringify({ lease, from }), { [TASK_TOKEN_HEADER]: access.token }, signal);
  }

  async sendEnvelope(access: TaskAccess, envelope: Bytes): Promise<void> {
    await this.#call('POST', `/v1/tasks/${taskId(access.task)}/envelope`, envelope, {
      'content-type': ENVELOPE_CONTENT_TYPE,
      [TASK_TOKEN_HEADER]: access.token,
    });
  }

  async sendWrap(access: TaskAccess, wrap: Wrap): Promise<void> {
    await this.#post(access, 'wraps', { wrap });
  }

  /** The tab's signed answer to an offer; null when it declined. */
  async sendOffer(access: TaskAccess, lease: Signed, link: string, signal: Signed): Promise<Signed | null> {
    const response = await this.#post(access, 'links', { lease, link, signal });
    const parsed = v.safeParse(linkResponse, await response.json());
    return parsed.success ? parsed.output.signal : null;
  }

  async askResend(access: TaskAccess, lease: Signed, from: number): Promise<void> {
    await this.#post(access, 'resend', { lease, from });
  }

  async receipt(id: string): Promise<Signed> {
    const parsed = v.safeParse(signed, await this.get(`/v1/receipts/${encodeURIComponent(id)}`));
    if (!parsed.success) throw new ShoalError('integrity_failed', 'That is no receipt.');
    return parsed.output;
  }

  /** What the router has at this path. Throws `SyntaxError` when it is no JSON. */
  async get(path: string): Promise<unknown> {
    return (await this.#call('GET', path, null, {})).json();
  }

  /** Waits as long as the router works. Throws `SyntaxError` when what comes back is no JSON. */
  async post(
    path: string,
    body: object,
    bearer: string | null,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<unknown> {
    const headers = {
      'content-type': 'application/json',
      ...(bearer !== null && { authorization: `Bearer ${bearer}` }),
    };
    return (await this.#checked(path, { method: 'POST', body: JSON.stringify(body), headers, signal })).json();
  }

  #post(access: TaskAccess, what: string, body: object): Promise<Response> {
    return this.#call('POST', `/v1/tasks/${taskId(access.task)}/${what}`, JSON.stringify(body), {
      'content-type': 'application/json',
      [TASK_TOKEN_HEADER]: access.token,
    });
  }

  /** The answer must begin in time; then it may take as long as its reader waits. */
  async #stream(
    path: string,
    body: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new DOMException('late', 'TimeoutError')), CALL_DEADLINE_MS);
    try {
      const response = await this.#checked(path, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json', ...headers },
        signal: AbortSignal.any([signal, late.signal]),
      });
      if (response.body === null) throw new ShoalError('internal_error', 'No stream.');
      return response.body;
    } finally {
      clearTimeout(timer);
    }
  }

  #call(method: string, path: string, body: BodyInit | null, headers: Record<string, string>): Promise<Response> {
    return this.#checked(path, { method, body, headers, signal: AbortSignal.timeout(CALL_DEADLINE_MS) });
  }

  async #checked(path: string, init: RequestInit): Promise<Response> {
    let response: Response;
    try {
      response = await this.#fetch(new URL(path, this.#origin), init);
    } catch (cause) {
      if (init.signal?.aborted === true && init.signal.reason?.name !== 'TimeoutError') {
        throw new ShoalError('cancelled', 'The request was stopped.', { cause });
      }
      throw new ShoalError('internal_error', `The router at ${this.#origin} did not answer.`, { cause });
    }
    if (response.ok) return response;
    const parsed = v.safeParse(errorBody, await response.json().catch(() => null));
    if (parsed.success) throw ShoalError.fromWire(parsed.output.error);
    throw new ShoalError('internal_error', `The router answered ${response.status}.`);
  }
}
