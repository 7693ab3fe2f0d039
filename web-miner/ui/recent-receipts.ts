import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { controls } from './controls.ts';
import type { RecentTask } from './network-figures.ts';
import { GRADE_WORDS, SURE_WORDS } from './network-words.ts';

/** On a phone thirty of them are longer than all the rest of the page. */
const FIRST_SHOWN = 8;

/** What was found when a receipt was looked for in the public log. */
type Found =
  | { readonly state: 'looking' }
  | { readonly state: 'there'; readonly index: number; readonly size: number }
  | { readonly state: 'failed'; readonly reason: string };

/** Tasks that ended lately, each opened to what everybody may know of its receipt. */
export class RecentReceipts extends LitElement {
  static override properties = { tasks: { attribute: false }, found: { state: true }, isWhole: { state: true } };
  declare tasks: readonly RecentTask[];
  /** All are shown, not only the last few. */
  declare isWhole: boolean;
  declare found: Readonly<Record<string, Found>>;

  static override styles = [
    controls,
    css`
      ul { list-style: none; margin: 0; padding: 0; }
      li { border-bottom: 1px solid var(--line); }
      summary { display: flex; gap: 12px; padding: 10px 0; }
      .time { flex: none; min-width: 4.5em; color: var(--soft); font-variant-numeric: tabular-nums; }
      .model { flex: 1; min-width: 0; overflow-wrap: anywhere; }
      .verified { color: var(--good); font-weight: 600; }
      .likely { color: var(--good); }
      .refuted, .disputed { color: var(--bad); font-weight: 600; }
      .unverified { color: var(--soft); }
      .more { margin-top: 12px; }
      .inside { padding: 0 0 12px; font-size: 0.9rem; }
      .good { color: var(--good); font-weight: 600; }
      .bad { color: var(--bad); }
    `,
  ];

  constructor() {
    super();
    this.tasks = [];
    this.found = {};
    this.isWhole = false;
  }

  override render(): TemplateResult {
    const { tasks, isWhole } = this;
    return html`<ul>
        ${tasks.slice(0, isWhole ? tasks.length : FIRST_SHOWN).map((task) => this.#task(task))}
      </ul>
      ${
        tasks.length <= FIRST_SHOWN
          ? nothing
          : html`<button class="quiet small more" aria-expanded=${isWhole} @click=${this.#toggleAll}>
              ${isWhole ? `Only the last ${FIRST_SHOWN}` : `All ${tasks.length}`}
            </button>`
      }`;
  }

  #toggleAll(): void {
    this.isWhole = !this.isWhole;
  }

  #task(task: RecentTask): TemplateResult {
    const when = new Date(task.minute);
    return html`<li>
      <details>
        <summary>
          <time class="time" datetime=${when.toISOString()}>${when.toLocaleTimeString([], { timeStyle: 'short' })}</time>
          <span class="model">${task.model}:${task.variant}</span>
          <span class=${task.answered ? task.sure : 'unverified'}>${task.answered ? SURE_WORDS[task.sure].word : 'no answer'}</span>
        </summary>
        <div class="inside">
          <p>
            ${task.answered ? SURE_WORDS[task.sure].text : 'It was stopped, or failed: the receipt says how.'}
            ${task.independence === null ? nothing : html`${GRADE_WORDS[task.independence].text}`}
          </p>
          <p>Entry in the public log: <code>${task.entry}</code></p>
          <div class="row">
            <button class="quiet small" @click=${() => this.#look(task.entry)}>Prove that it is in the log</button>
            <a href=${`/v1/log/inclusion?entry=${encodeURIComponent(task.entry)}`}>The proof itself</a>
          </div>
          <p role="status">${this.#proof(this.found[task.entry])}</p>
        </div>
      </details>
    </li>`;
  }

  #proof(found: Found | undefined): TemplateResult | typeof nothing {
    switch (found?.state) {
      case undefined:
        return nothing;
      case 'looking':
        return html`Asking for the proof.`;
      case 'there':
        return html`<span class="good">It is in the log</span>: number ${found.index + 1} of ${found.size}, under a head that the router signed. Verified in this page.`;
      case 'failed':
        return html`<span class="bad">${found.reason}</span>`;
    }
  }

  async #look(entry: string): Promise<void> {
    this.#tell(entry, { state: 'looking' });
    try {
      const { proveEntry } = await import('./prove-entry.ts');
      this.#tell(entry, { state: 'there', ...(await proveEntry(entry)) });
    } catch (cause) {
      this.#tell(entry, { state: 'failed', reason: cause instanceof Error ? cause.message : String(cause) });
    }
  }

  #tell(entry: string, found: Found): void {
    this.found = { ...this.found, [entry]: found };
  }
}

customElements.define('recent-receipts', RecentReceipts);
