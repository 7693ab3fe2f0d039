import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { SealedClient } from '../../client/sealed-client.ts';
import type { Verdict } from '../../shared/checking/verdict.ts';
import { ShoalError } from '../../shared/errors.ts';
import { controls } from './controls.ts';
import { type AskLimits, Conversation, type Exchange } from './conversation.ts';
import { megabytes, speed } from './format.ts';
import { fetchModels, type ListedModel } from './model-list.ts';
import { fetchReadableBytes } from './readable-bytes.ts';
import { saveAsFile } from './save-as-file.ts';

export type { Exchange } from './conversation.ts';

/** The one stateful element of `/chat`: seals prompts in this page and shows the way, the check and the receipt of every answer. */
export class ChatPage extends LitElement {
  static override properties = {
    exchanges: { state: true },
    models: { state: true },
    model: { state: true },
    direct: { state: true },
    trouble: { state: true },
    busy: { state: true },
  };
  declare exchanges: readonly Exchange[];
  declare models: readonly ListedModel[];
  declare model: string;
  declare direct: boolean;
  declare trouble: string | null;
  declare busy: boolean;

  #client: SealedClient | null = null;
  #looked: Promise<void> = Promise.resolve();
  /** The person named a model: it is not changed for one that has tabs. */
  #hasChosen = false;
  readonly #conversation = new Conversation({
    model: () => this.#chosenModel(),
    client: () => {
      this.#client ??= new SealedClient({ baseUrl: location.origin, directLinks: this.direct });
      return this.#client;
    },
    readableBytes: fetchReadableBytes,
    onChange: (exchanges, busy) => {
      this.exchanges = exchanges;
      this.busy = busy;
    },
  });

  static override styles = [
    controls,
    css`
      .row {
        display: flex;
        flex-wrap: wrap;
        gap: 12px;
        align-items: center;
      }
      .end {
        align-items: flex-end;
        margin-top: 12px;
      }
      .below {
        margin-top: 14px;
      }
      ol {
        list-style: none;
        margin: 0;
        padding: 0;
      }
      .question {
        margin: 0 0 8px auto;
        width: fit-content;
        max-width: 85%;
        padding: 10px 14px;
        border-radius: 14px 14px 2px 14px;
        background: var(--accent-soft);
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      .answer {
        white-space: pre-wrap;
        overflow-wrap: anywhere;
        min-height: 1.5em;
      }
      .facts {
        font-size: 0.9rem;
        color: var(--soft);
        margin: 8px 0 0;
      }
      .valid { color: var(--good); font-weight: 600; }
      .invalid, .bad { color: var(--bad); font-weight: 600; }
      .unchecked { color: var(--warn); font-weight: 600; }
      details { margin-top: 6px; font-size: 0.9rem; }
      summary { cursor: pointer; min-height: 28px; }
      textarea { resize: vertical; min-height: 88px; }
      .grow { flex: 1 1 220px; }
      code { font-family: var(--mono); font-size: 0.85rem; overflow-wrap: anywhere; }
    `,
  ];

  constructor() {
    super();
    this.exchanges = [];
    this.models = [];
    this.model = '';
    this.direct = false;
    this.trouble = null;
    this.busy = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#looked = this.#look();
  }

  async #look(): Promise<void> {
    try {
      this.models = await fetchModels('chat');
      const served = this.models.find((model) => model.shoal.tabs > 0) ?? this.models[0];
      if (!this.#hasChosen) this.model = served?.id ?? '';
      this.trouble = null;
    } catch (cause) {
      this.trouble = cause instanceof Error ? cause.message : String(cause);
    }
  }

  override render(): TemplateResult {
    return html`
      <h1>Ask the shoal</h1>
      <p class="soft">
        Your prompt is sealed in this page for the tab that answers, and for the one that checks it. The router passes it on and cannot
        read it.
      </p>
      <ol aria-label="Conversation">
        ${this.exchanges.map((exchange) => this.#exchange(exchange))}
      </ol>
      ${this.#composer()}
    `;
  }

  #exchange(exchange: Exchange): TemplateResult {
    return html`<li>
      <p class="question">${exchange.question}</p>
      <div class="card">
        <div class="answer" aria-busy=${exchange.state === 'writing'}>${exchange.answer}</div>
        ${exchange.isCut ? html`<p class="facts unchecked">Cut here: the answer reached its limit of tokens.</p>` : nothing}
        <p class="facts" role="status">${this.#status(exchange)}</p>
        ${exchange.task === null ? nothing : this.#details(exchange)}
      </div>
    </li>`;
  }

  #status(exchange: Exchange): TemplateResult {
    if (exchange.state === 'failed') return html`<span class="bad">${exchange.note}</span>`;
    const rate = exchange.tokensPerSecond === null ? '' : `${speed(exchange.tokensPerSecond)} tokens/s · `;
    const way = exchange.promptPath === null ? '' : exchange.promptPath === 'direct' ? 'direct link · ' : 'by relay · ';
    return html`${rate}${way}${exchange.verdict === null ? exchange.note : verdictText(exchange)}`;
  }

  #details(exchange: Exchange): TemplateResult {
    return html`<details>
      <summary>Path and receipt</summary>
      <dl>
        <div><dt>First token</dt><dd>${exchange.firstTokenMs === null ? '–' : `${Math.round(exchange.firstTokenMs)} ms`}</dd></div>
        <div><dt>By relay</dt><dd>${whenDone(exchange, megabytes(exchange.relayBytes))}</dd></div>
        <div><dt>By WebRTC</dt><dd>${whenDone(exchange, megabytes(exchange.directBytes))}</dd></div>
        <div><dt>Router could read</dt><dd>${exchange.readableBytes === null ? '–' : `${exchange.readableBytes} bytes`}</dd></div>
      </dl>
      <p class="facts">${exchange.answer === '' ? 'Leased to' : 'Written by'} <code>${exchange.tab}</code></p>
      ${
        exchange.receiptHolds === null
          ? nothing
          : html`<p class="facts">
              ${
                exchange.receiptHolds
                  ? html`<span class="valid">The receipt’s signatures hold</span>, verified in this page.`
                  : html`<span class="bad">The receipt does not hold.</span>`
              }
              <a href=${`/v1/receipts/${exchange.task}`} target="_blank" rel="noopener">Open the receipt</a>
            </p>`
      }
      ${this.#audit(exchange)}
    </details>`;
  }

  /** Both files that an audit needs. The transcript is text of this page: it is kept nowhere else. */
  #audit({ receipt, transcript, task }: Exchange): TemplateResult | typeof nothing {
    if (receipt == null || transcript == null) return nothing;
    const name = `shoal-${task?.slice(-8)}`;
    return html`<p class="facts">Anybody who has these two files can have the answer <a href="/audit">written again</a>:</p>
      <div class="row">
        <button class="quiet" @click=${() => saveAsFile(`${name}.receipt.json`, receipt)}>Save the receipt</button>
        <button class="quiet" @click=${() => saveAsFile(`${name}.transcript.json`, transcript)}>Save the transcript</button>
      </div>`;
  }

  #composer(): TemplateResult {
    const { busy } = this;
    return html`<form class="card" @submit=${this.#submit}>
      ${this.trouble === null ? nothing : html`<p role="alert" class="bad">${this.trouble}</p>`}
      <label for="prompt">Your prompt</label>
      <textarea id="prompt" required maxlength="100000" @keydown=${this.#key} placeholder="How do I make a cup of tea?"></textarea>
      <div class="row end">
        <div class="grow">
          <label for="model">Model</label>
          <select id="model" ?disabled=${busy} @change=${this.#choose}>
            ${this.models.map(
              (model) =>
                html`<option value=${model.id} ?selected=${model.id === this.model}>
                  ${model.id} (${model.shoal.tabs} ${model.shoal.tabs === 1 ? 'tab' : 'tabs'})
                </option>`,
            )}
          </select>
        </div>
        ${
          busy
            ? html`<button id="stop" type="button" class="quiet" @click=${this.#stop}>Stop</button>`
            : html`<button id="send" ?disabled=${this.model === ''}>Send</button>`
        }
        ${
          busy || this.exchanges.length === 0
            ? nothing
            : html`<button id="new" type="button" class="quiet" @click=${() => this.#conversation.clear()}>
                New conversation
              </button>`
        }
      </div>
      <label class="check below">
        <input id="direct" type="checkbox" .checked=${this.direct} @change=${this.#setDirect} />
        <span>Use direct links where the tab allows them. That tab can then see this device’s network address, and you see its.</span>
      </label>
      ${this.#modelNote()}
    </form>`;
  }

  #modelNote(): TemplateResult | typeof nothing {
    const model = this.models.find(({ id }) => id === this.model);
    return model === undefined ? nothing : html`<p class="soft">${model.shoal.name}: ${model.shoal.description}</p>`;
  }

  #key(event: KeyboardEvent): void {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!this.busy) (event.target as HTMLTextAreaElement).form?.requestSubmit();
  }

  #choose(event: Event): void {
    this.model = (event.target as HTMLSelectElement).value;
    this.#hasChosen = true;
  }

  #setDirect(event: Event): void {
    this.direct = (event.target as HTMLInputElement).checked;
    this.#client?.close();
    this.#client = null; // Links belong to a client: the next question opens its own.
  }

  async #submit(event: Event): Promise<void> {
    event.preventDefault();
    const field = this.renderRoot.querySelector('textarea');
    const question = field?.value.trim() ?? '';
    if (field === null || question === '' || this.busy) return;
    field.value = '';
    await this.ask(question);
    this.#looked = this.#look(); // Tabs come and go.
    field.focus();
  }

  #stop(): void {
    this.#conversation.stop();
  }

  /** Asks, and follows the answer to its verdict. Never throws: what goes wrong is shown beside the question. */
  ask(question: string, limits: AskLimits = {}): Promise<Exchange> {
    return this.#conversation.ask(question, limits);
  }

  async #chosenModel(): Promise<string> {
    await this.#looked;
    if (this.model === '') throw new ShoalError('model_not_found', this.trouble ?? 'The router offers no model.');
    return this.model;
  }
}

/** Bytes are counted when all of them are there. */
function whenDone(exchange: Exchange, text: string): string {
  return exchange.state === 'done' ? text : '–';
}

function verdictText(exchange: Exchange): TemplateResult {
  const { verdict, cosine } = exchange;
  if (verdict === null) return html``;
  switch (verdict.value) {
    case 'valid':
      if (verdict.method !== 'exact-re-execution') {
        return html`<span class="valid">Read by ${tabs(verdict.agree)} with the same weights: it may well be what the model writes. That is no proof</span>`;
      }
      return html`<span class="valid">Checked: another tab wrote the same ${verdict.blocks} ${verdict.blocks === 1 ? 'block' : 'blocks'}</span>${
        cosine === null ? nothing : html`, cosine ${cosine.toFixed(2)}`
      }`;
    case 'invalid':
      return html`<span class="invalid">Wrong: block ${verdict.falseBlock} is not what the model writes; ${verdict.differ} tabs agree on that</span>`;
    case 'disputed':
      if (verdict.method !== 'exact-re-execution') {
        return html`<span class="invalid">In dispute: ${tabs(verdict.differ)} read it with the same weights, and it is hardly what the model writes</span>`;
      }
      return html`<span class="invalid">In dispute: from block ${verdict.falseBlock} on, another tab wrote something else, and nobody was left to decide</span>`;
    case 'inconclusive':
      if (verdict.method === 'forced-decode')
        return html`<span class="unchecked">Not checked: its text could not be read</span>`;
      return html`<span class="unchecked">Compared with another variant of the model only${cosine === null ? nothing : html`: cosine ${cosine.toFixed(2)}`}. That tells what it is about, not whether it is right</span>`;
    case 'unchecked':
      return html`<span class="unchecked">Not checked: ${UNCHECKED[verdict.reason]}</span>`;
  }
}

function tabs(count: number): string {
  return count === 1 ? 'another tab' : `${count} other tabs`;
}

const UNCHECKED: Record<Extract<Verdict, { value: 'unchecked' }>['reason'], string> = {
  not_asked: 'no check was asked for',
  not_sampled: 'this answer was not among those that are checked afterwards',
  nobody_fit: 'no other tab of the same kind was there',
  client_gone: 'this page was away when the check was drawn',
  checker_lost: 'the checking tab went away',
  checker_refused: 'the check itself did not hold',
  no_answer: 'there was no whole answer',
};

customElements.define('chat-page', ChatPage);

declare global {
  interface HTMLElementTagNameMap {
    'chat-page': ChatPage;
  }
}
