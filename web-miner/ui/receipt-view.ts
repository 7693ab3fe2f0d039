import { css, html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { RouterCalls } from '../../client/router-calls.ts';
import { toBase64Url } from '../../shared/bytes.ts';
import type { Receipt } from '../../shared/receipt/receipt.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { entryOf } from '../../shared/receipt-log/log-api.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import { controls } from './controls.ts';
import { GRADE_WORDS } from './network-words.ts';
import { proveEntry } from './prove-entry.ts';

type Read =
  | { readonly state: 'reading' }
  | { readonly state: 'read'; readonly receipt: Receipt | null; readonly problems: readonly string[] }
  | { readonly state: 'failed'; readonly reason: string };

const MICRO = 1e6;

/** What a receipt says, in a person's words, after its signatures were verified here. Loaded with the first receipt that somebody opens. */
export class ReceiptView extends LitElement {
  static override properties = {
    receipt: { attribute: false },
    read: { state: true },
    logged: { state: true },
  };
  declare receipt: Signed | null;
  declare read: Read;
  /** What came of looking for it in the public log; empty before. */
  declare logged: string;

  static override styles = [
    controls,
    css`
      table { font-size: 0.9rem; }
      th { white-space: nowrap; font-weight: 600; }
      th, td { padding: 6px 8px 6px 0; }
      td { overflow-wrap: anywhere; }
      .bad { color: var(--bad); font-weight: 600; }
      .soft, p { font-size: 0.9rem; margin: 8px 0; }
    `,
  ];

  constructor() {
    super();
    this.receipt = null;
    this.read = { state: 'reading' };
    this.logged = '';
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('receipt') && this.receipt !== null) void this.#look(this.receipt);
  }

  async #look(signed: Signed): Promise<void> {
    this.read = { state: 'reading' };
    this.logged = '';
    try {
      const [routerKey] = await this.#calls().routerKeys();
      const { receipt, problems } = await verifyReceipt(signed, { routerKey: routerKey ?? '' });
      this.read = { state: 'read', receipt, problems };
    } catch (cause) {
      this.read = { state: 'failed', reason: reasonOf(cause) };
    }
  }

  #calls(): RouterCalls {
    return new RouterCalls(location.origin, (...call) => fetch(...call));
  }

  override render(): TemplateResult | typeof nothing {
    const { read } = this;
    switch (read.state) {
      case 'reading':
        return html`<p role="status">Verifying the receipt.</p>`;
      case 'failed':
        return html`<p class="bad">The receipt could not be looked at: ${read.reason}</p>`;
      case 'read':
        return html`${read.problems.map((problem) => html`<p class="bad">${problem}</p>`)}
          ${read.receipt === null ? nothing : this.#says(read.receipt)}`;
    }
  }

  #says(receipt: Receipt): TemplateResult {
    const row = (name: string, value: unknown) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`;
    const tabs = receipt.readers.filter(({ role }) => role === 'answer');
    return html`<table>
        <caption class="unseen">What the receipt says</caption>
        <tbody>
          ${row('Model', `${receipt.model}:${receipt.variant}`)}
          ${row('Asked', `${new Date(receipt.openedAt).toLocaleString()}, at level ${receipt.level}, ${receipt.private ? 'sealed' : 'by plain HTTP'}`)}
          ${tabs.map(({ key }) => row('Answered by', html`<code>${key}</code>, ${receipt.standing} with this router`))}
          ${receipt.checks.map(({ checker, independence }) => row('Checked by', html`<code>${checker}</code>. ${GRADE_WORDS[independence].text}`))}
          ${receipt.checks.length === 0 ? row('Checked by', 'nobody') : nothing}
          ${row('Read by', readersOf(receipt))}
          ${row('Seed', String(receipt.sampling.seed))}
          ${receipt.price == null ? nothing : row('Price', `${receipt.price.charged / MICRO} credits`)}
        </tbody>
      </table>
      <p class="soft">It does not prove that these tabs belong to different people.</p>
      <div class="row">
        <button class="quiet small" @click=${this.#prove}>Find it in the public log</button>
        <span role="status">${this.logged}</span>
      </div>`;
  }

  async #prove(): Promise<void> {
    const { receipt } = this;
    if (receipt === null) return;
    this.logged = 'Asking for the proof.';
    try {
      const { index, size } = await proveEntry(toBase64Url(await entryOf(receipt)));
      this.logged = `It is there: number ${index + 1} of ${size}.`;
    } catch (cause) {
      this.logged = reasonOf(cause);
    }
  }
}

function readersOf({ readers }: Receipt): string {
  const count = (role: Receipt['readers'][number]['role']) => readers.filter((reader) => reader.role === role).length;
  const tabs = count('answer') + count('check');
  return `${tabs} ${tabs === 1 ? 'tab' : 'tabs'}${count('router') > 0 ? ', and the router' : ''}`;
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

customElements.define('receipt-view', ReceiptView);
