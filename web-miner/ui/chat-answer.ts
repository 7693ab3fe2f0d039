import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { type Exchange, isSettled } from '../chat/exchange.ts';
import { verdictWords, verifiedLength } from '../chat/verdict-words.ts';
import { controls } from './controls.ts';
import { megabytes, speed } from './format.ts';
import './markdown-view.ts';
import { saveAsFile } from './save-as-file.ts';

/** One answer: its text, how it stands, and behind it path, receipt and code. */
export class ChatAnswer extends LitElement {
  static override properties = {
    exchange: { attribute: false },
    withKey: { type: Boolean },
    opened: { state: true },
  };
  declare exchange: Exchange | null;
  declare withKey: boolean;
  /** What was opened so far: its code is loaded by then. */
  declare opened: Readonly<Record<'receipt' | 'code', boolean>>;

  static override styles = [
    controls,
    css`
      .facts { font-size: 0.9rem; color: var(--soft); margin: 8px 0 0; }
      .valid { color: var(--good); font-weight: 600; }
      .invalid, .bad { color: var(--bad); font-weight: 600; }
      .unchecked { color: var(--warn); font-weight: 600; }
      .border {
        display: flex;
        align-items: center;
        gap: 10px;
        margin: 8px 0;
        font-size: 0.85rem;
        color: var(--bad);
      }
      .border::before, .border::after { content: ''; flex: 1; border-top: 2px dashed currentcolor; }
      details { margin-top: 6px; font-size: 0.9rem; }
    `,
  ];

  constructor() {
    super();
    this.exchange = null;
    this.withKey = false;
    this.opened = { receipt: false, code: false };
  }

  override render(): TemplateResult | typeof nothing {
    const { exchange } = this;
    if (exchange === null) return nothing;
    return html`
      ${this.#text(exchange)}
      ${exchange.isCut ? html`<p class="facts unchecked">Cut here: the answer reached its limit of tokens.</p>` : nothing}
      <p class="facts" role="status">${this.#status(exchange)}</p>
      ${exchange.task === null ? nothing : this.#path(exchange)}
      ${
        exchange.request === null
          ? nothing
          : html`<details @toggle=${() => this.#open('code', import('./code-sample.ts'))}>
              <summary>Ask this from code</summary>
              ${this.opened.code ? html`<code-sample .exchange=${exchange} .withKey=${this.withKey}></code-sample>` : nothing}
            </details>`
      }
    `;
  }

  /** The text; where a check found it false, with a line at the place from which on it is. */
  #text(exchange: Exchange): TemplateResult {
    const { answer } = exchange;
    const isWhole = exchange.state === 'checking' || isSettled(exchange);
    const length = verifiedLength(exchange);
    const isBusy = !isWhole;
    if (length === null || length === answer.length) {
      return html`<markdown-view class="answer" aria-busy=${isBusy} .text=${answer} ?whole=${isWhole}></markdown-view>`;
    }
    return html`<div class="answer">
      ${length === 0 ? nothing : html`<markdown-view .text=${answer.slice(0, length)} whole></markdown-view>`}
      <p class="border">Verified up to here</p>
      <markdown-view .text=${answer.slice(length)} whole></markdown-view>
    </div>`;
  }

  #status(exchange: Exchange): TemplateResult {
    if (exchange.state === 'failed') return html`<span class="bad">${exchange.note}</span>`;
    const rate = exchange.tokensPerSecond === null ? '' : `${speed(exchange.tokensPerSecond)} tokens/s · `;
    const way =
      exchange.promptPath === null
        ? ''
        : exchange.promptPath === 'direct'
          ? 'direct link · '
          : exchange.isPrivate
            ? 'by relay · '
            : 'plain, by the router · ';
    if (exchange.verdict === null) return html`${rate}${way}${exchange.note}`;
    const { tone, text } = verdictWords(exchange.verdict, exchange.cosine);
    return html`${rate}${way}<span class=${tone}>${text}</span>`;
  }

  #path(exchange: Exchange): TemplateResult {
    return html`<details @toggle=${() => this.#open('receipt', import('./receipt-view.ts'))}>
      <summary>Path and receipt</summary>
      <dl>
        <div><dt>First token</dt><dd>${exchange.firstTokenMs === null ? '–' : `${Math.round(exchange.firstTokenMs)} ms`}</dd></div>
        <div><dt>By relay</dt><dd>${whenDone(exchange, megabytes(exchange.relayBytes))}</dd></div>
        <div><dt>By direct link</dt><dd>${whenDone(exchange, megabytes(exchange.directBytes))}</dd></div>
        <div><dt>Router could read</dt><dd>${exchange.readableBytes === null ? '–' : `${exchange.readableBytes} bytes`}</dd></div>
      </dl>
      ${
        exchange.tab === null
          ? nothing
          : html`<p class="facts">${exchange.answer === '' ? 'Leased to' : 'Written by'} <code>${exchange.tab}</code></p>`
      }
      ${
        exchange.receiptHolds === null
          ? nothing
          : html`<p class="facts">
              ${
                exchange.receiptHolds
                  ? html`<span class="valid">The receipt’s signatures hold</span>, verified in this page.`
                  : html`<span class="bad">The receipt does not hold.</span>`
              }
              <a href=${`/v1/receipts/${encodeURIComponent(exchange.task ?? '')}`} target="_blank" rel="noopener">Open the receipt</a>
            </p>`
      }
      ${
        exchange.receipt === null || !this.opened.receipt
          ? nothing
          : html`<receipt-view .receipt=${exchange.receipt}></receipt-view>`
      }
      ${this.#audit(exchange)}
    </details>`;
  }

  /** Code that could not be loaded now is asked for again when it is opened again. */
  async #open(what: 'receipt' | 'code', code: Promise<unknown>): Promise<void> {
    if (
      await code.then(
        () => true,
        () => false,
      )
    )
      this.opened = { ...this.opened, [what]: true };
  }

  /** Both files that an audit needs. The transcript is text of this page: it is kept nowhere else. */
  #audit({ receipt, transcript, task }: Exchange): TemplateResult | typeof nothing {
    if (receipt === null || transcript === null) return nothing;
    const name = `shoal-${task?.slice(-8)}`;
    return html`<p class="facts">Anybody who has these two files can have the answer <a href="/audit">written again</a>:</p>
      <div class="row">
        <button class="quiet small" @click=${() => saveAsFile(`${name}.receipt.json`, receipt)}>Save the receipt</button>
        <button class="quiet small" @click=${() => saveAsFile(`${name}.transcript.json`, transcript)}>Save the transcript</button>
      </div>`;
  }
}

/** Bytes are counted when all of them are there. */
function whenDone(exchange: Exchange, text: string): string {
  return exchange.state === 'done' ? text : '–';
}

customElements.define('chat-answer', ChatAnswer);
