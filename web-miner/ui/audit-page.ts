import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { RouterCalls } from '../../client/router-calls.ts';
import type { Arithmetic } from '../../shared/classes/catalogue.ts';
import type { AuditFinding, AuditPhase } from '../work/start-audit.ts';
import { tellFinding } from '../work/tell-finding.ts';
import { controls } from './controls.ts';
import { megabytes } from './format.ts';

type AuditState =
  | { readonly state: 'idle' }
  | { readonly state: 'working'; readonly phase: AuditPhase }
  | { readonly state: 'found'; readonly finding: AuditFinding }
  | { readonly state: 'failed'; readonly reason: string };

interface PickedFile {
  readonly name: string;
  readonly content: unknown;
}

/** How an audit went, for whoever drives the page from outside. */
export type AuditOutcome = Extract<AuditState, { readonly state: 'found' | 'failed' }>;

/** The one stateful element of `/audit`: takes a receipt and its transcript, and has this browser write the answer again. */
export class AuditPage extends LitElement {
  static override properties = {
    audited: { state: true },
    receipt: { state: true },
    transcript: { state: true },
    trouble: { state: true },
    key: { state: true },
  };
  declare audited: AuditState;
  declare receipt: PickedFile | null;
  declare transcript: PickedFile | null;
  declare trouble: string | null;
  declare key: string;

  #abort = new AbortController();

  static override styles = [
    controls,
    css`
      .row {
        display: flex;
        flex-wrap: wrap;
        gap: 12px;
        align-items: center;
      }
      .good { color: var(--good); }
      .bad { color: var(--bad); }
      .open { color: var(--warn); }
      .picked {
        list-style: none;
        margin: 12px 0;
        padding: 0;
      }
      .picked li {
        display: grid;
        grid-template-columns: 7.5rem 1fr;
        gap: 8px;
        padding: 4px 0;
        overflow-wrap: anywhere;
      }
      input[type='file'],
      input[type='text'] {
        font: inherit;
        width: 100%;
        min-height: 44px;
        padding: 9px 12px;
        border: 1px solid var(--line);
        border-radius: 10px;
        background: var(--surface);
        color: var(--text);
      }
      input[type='text'] { font-family: var(--mono); font-size: 0.9rem; }
      input[type='file'] { border-style: dashed; }
      pre {
        margin: 0 0 12px;
        padding: 10px 12px;
        white-space: pre-wrap;
        overflow-wrap: anywhere;
        border-radius: 10px;
        background: var(--sunken);
        font: 0.9rem / 1.5 var(--mono);
      }
      h3 { font-size: 0.95rem; margin: 12px 0 4px; }
      .below { margin-top: 14px; }
    `,
  ];

  constructor() {
    super();
    this.audited = { state: 'idle' };
    this.receipt = null;
    this.transcript = null;
    this.trouble = null;
    this.key = '';
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.addEventListener('dragover', (event) => event.preventDefault());
    this.addEventListener('drop', (event) => {
      event.preventDefault();
      void this.#take([...(event.dataTransfer?.files ?? [])]);
    });
  }

  /** Audits; `routerKey` null takes the key that this page's own router publishes. Never throws: an outcome says what went wrong. */
  async audit(receipt: unknown, transcript: unknown, routerKey: string | null): Promise<AuditOutcome> {
    this.#abort.abort();
    const abort = new AbortController();
    this.#abort = abort;
    const onPhase = (phase: AuditPhase) => {
      if (!abort.signal.aborted) this.audited = { state: 'working', phase };
    };
    onPhase({ phase: 'verifying' });
    let outcome: AuditOutcome;
    try {
      // Engine and verification are loaded with their first use.
      const [{ runAudit }, { WllamaEngine }] = await Promise.all([
        import('../work/start-audit.ts'),
        import('../engine/wllama-engine.ts'),
      ]);
      const request = {
        origin: location.origin,
        receipt,
        transcript,
        routerKey: routerKey ?? (await this.#publishedKey(receipt)),
        engineAt: (wasmUrl: string, arithmetic: Arithmetic) => new WllamaEngine(wasmUrl, arithmetic),
        onPhase,
      };
      outcome = { state: 'found', finding: await runAudit(request, abort.signal) };
    } catch (cause) {
      outcome = { state: 'failed', reason: cause instanceof Error ? cause.message : String(cause) };
    }
    if (!abort.signal.aborted) this.audited = outcome;
    return outcome;
  }

  override render(): TemplateResult {
    return html`
      <h1>Audit an answer</h1>
      <p>
        An answer of this network can be written again by anybody, any time: its receipt names the model file, the engine and every value that went
        into it. This page verifies the receipt, has this browser write the answer again, and compares them byte by byte. Nothing that you open here leaves
        the page.
      </p>
      ${this.#files()}
      <div aria-live="polite" aria-busy=${this.audited.state === 'working'}>${this.#outcome()}</div>
      ${this.#trust()}
    `;
  }

  #files(): TemplateResult {
    const isWorking = this.audited.state === 'working';
    return html`<section class="card" aria-labelledby="files">
      <h2 id="files">Receipt and transcript</h2>
      <label for="pick">Two JSON files: choose both, or drop them anywhere on this page</label>
      <input id="pick" type="file" accept=".json,application/json" multiple ?disabled=${isWorking} @change=${this.#pick} />
      <ul class="picked">
        <li><strong>Receipt</strong><span>${this.receipt?.name ?? 'none yet: what GET /v1/receipts/ID gave'}</span></li>
        <li>
          <strong>Transcript</strong
          ><span>${this.transcript?.name ?? 'none yet: {"request": …, "response": …}, the call that you made and its answer'}</span>
        </li>
      </ul>
      <label for="key">The router’s key that you trust</label>
      <input
        id="key"
        type="text"
        autocomplete="off"
        spellcheck="false"
        placeholder="left out: the one that this router publishes"
        .value=${this.key}
        ?disabled=${isWorking}
        @input=${this.#setKey}
      />
      ${this.trouble === null ? nothing : html`<p role="alert" class="bad below">${this.trouble}</p>`}
      <div class="row below">
        <button id="audit" ?disabled=${isWorking || this.receipt === null || this.transcript === null} @click=${this.#start}>
          Audit
        </button>
        ${isWorking ? html`<button id="stop" class="quiet" @click=${this.#stop}>Stop</button>` : nothing}
      </div>
    </section>`;
  }

  #outcome(): TemplateResult | typeof nothing {
    const { audited } = this;
    switch (audited.state) {
      case 'idle':
        return nothing;
      case 'working': {
        const share = shareOf(audited.phase);
        return html`<section class="card" aria-labelledby="outcome">
          <h2 id="outcome">At work</h2>
          ${
            share === null
              ? html`<progress aria-label="Audit"></progress>`
              : html`<progress aria-label="Audit" max="1" .value=${share}></progress>`
          }
          <p class="soft">${tellPhase(audited.phase)}</p>
        </section>`;
      }
      case 'failed':
        return html`<section class="card" aria-labelledby="outcome">
          <h2 id="outcome">That did not work</h2>
          <p role="alert" class="bad">${audited.reason}</p>
        </section>`;
      case 'found': {
        const { tone, title, lines, passages } = tellFinding(audited.finding);
        return html`<section class="card" aria-labelledby="outcome">
          <h2 id="outcome" class=${tone}>${title}</h2>
          ${lines.map((line) => html`<p>${line}</p>`)}
          ${
            passages === null
              ? nothing
              : html`<h3>Signed by the tab</h3>
                <pre id="signed">${passages.signed}</pre>
                <h3>Written by the model</h3>
                <pre id="written">${passages.written}</pre>`
          }
        </section>`;
      }
    }
  }

  #trust(): TemplateResult {
    return html`<section class="card" aria-labelledby="trust">
      <h2 id="trust">Whom you trust here</h2>
      <p class="soft">
        Model and engine are checked against the digests that the receipt names. This page itself came from the router at ${location.host}: if you trust that
        one with nothing, run <code>npx shoal audit receipt.json transcript.json</code> from the source instead.
      </p>
    </section>`;
  }

  #pick(event: Event): void {
    const input = event.target as HTMLInputElement;
    void this.#take([...(input.files ?? [])]);
  }

  /** Which file is which is told by what is in it. */
  async #take(files: readonly File[]): Promise<void> {
    this.trouble = null;
    for (const file of files) {
      const content = await readJson(file);
      if (isObjectWith(content, 'payload', 'signature')) this.receipt = { name: file.name, content };
      else if (isObjectWith(content, 'request', 'response')) this.transcript = { name: file.name, content };
      else this.trouble = `${file.name} is neither a receipt nor a transcript.`;
    }
  }

  #setKey(event: Event): void {
    this.key = (event.target as HTMLInputElement).value;
  }

  #start(): void {
    const key = this.key.trim();
    void this.audit(this.receipt?.content, this.transcript?.content, key === '' ? null : key);
  }

  #stop(): void {
    this.#abort.abort();
    this.audited = { state: 'idle' };
  }

  /** The published key that signed, if it is among them. */
  async #publishedKey(receipt: unknown): Promise<string> {
    const keys = await new RouterCalls(location.origin, (...call) => fetch(...call)).routerKeys();
    const signer = isObjectWith(receipt, 'key') ? receipt.key : null;
    return keys.find((key) => key === signer) ?? keys[0] ?? '';
  }
}

async function readJson(file: File): Promise<unknown> {
  try {
    return JSON.parse(await file.text());
  } catch {
    return null;
  }
}

function isObjectWith<Field extends string>(
  value: unknown,
  ...fields: readonly Field[]
): value is Record<Field, unknown> {
  return typeof value === 'object' && value !== null && fields.every((field) => Object.hasOwn(value, field));
}

function shareOf(phase: AuditPhase): number | null {
  if (phase.phase !== 'downloading' || phase.progress.totalBytes === 0) return null;
  return phase.progress.loadedBytes / phase.progress.totalBytes;
}

function tellPhase(phase: AuditPhase): string {
  switch (phase.phase) {
    case 'verifying':
      return 'Verifying the receipt.';
    case 'downloading': {
      const { loadedBytes, totalBytes } = phase.progress;
      return `Fetching ${phase.model}: ${megabytes(loadedBytes)} of ${megabytes(totalBytes)}.`;
    }
    case 'loading':
      return `${phase.model} goes into memory.`;
    case 'writing':
      return `Writing the answer again with ${phase.model}: ${phase.tokens} tokens.`;
  }
}

customElements.define('audit-page', AuditPage);

declare global {
  interface HTMLElementTagNameMap {
    'audit-page': AuditPage;
  }
}
