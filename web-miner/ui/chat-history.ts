import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import type { KeptConversation } from '../chat/conversation-store.ts';
import { controls } from './controls.ts';
import { emit } from './emit.ts';

/** The conversations of this browser. Says `open-kept` and `remove-kept` with an id, `remove-all`, `export` with a format. */
export class ChatHistory extends LitElement {
  static override properties = {
    kept: { attribute: false },
    current: { attribute: false },
    hasTurns: { type: Boolean },
    busy: { type: Boolean },
    isAsking: { state: true },
  };
  declare kept: readonly KeptConversation[];
  /** Id of the conversation that is open; null: a new one. */
  declare current: string | null;
  declare hasTurns: boolean;
  declare busy: boolean;
  /** Whether deleting all waits for a second word. */
  declare isAsking: boolean;

  static override styles = [
    controls,
    css`
      ul { list-style: none; margin: 0 0 12px; padding: 0; }
      li { display: flex; gap: 8px; align-items: center; border-bottom: 1px solid var(--line); padding: 4px 0; }
      li .open {
        flex: 1;
        min-width: 0;
        overflow: hidden;
        text-align: left;
        text-overflow: ellipsis;
        white-space: nowrap;
        border-color: transparent;
        font-weight: 400;
      }
      li .open[aria-current='true'] { font-weight: 650; }
      details { margin: 0 0 var(--gap); }
    `,
  ];

  constructor() {
    super();
    this.kept = [];
    this.current = null;
    this.hasTurns = false;
    this.busy = false;
    this.isAsking = false;
  }

  override render(): TemplateResult | typeof nothing {
    const { kept, busy } = this;
    if (kept.length === 0 && !this.hasTurns) return nothing;
    return html`<details class="card">
      <summary>Conversations in this browser (${kept.length})</summary>
      <p class="soft">They are kept here and nowhere else.</p>
      <ul aria-label="Conversations">
        ${kept.map(
          ({ id, title, at }) => html`<li>
            <button
              class="quiet small open"
              aria-current=${id === this.current}
              ?disabled=${busy}
              title=${new Date(at).toLocaleString()}
              @click=${() => emit(this, 'open-kept', id)}
            >
              ${title}
            </button>
            <button class="quiet small" ?disabled=${busy} aria-label=${`Delete: ${title}`} @click=${() => emit(this, 'remove-kept', id)}>
              Delete
            </button>
          </li>`,
        )}
      </ul>
      <div class="row">
        ${
          this.hasTurns
            ? html`<button class="quiet small" @click=${() => emit(this, 'export', 'markdown')}>Export as Markdown</button>
                <button class="quiet small" @click=${() => emit(this, 'export', 'json')}>Export as JSON</button>`
            : nothing
        }
        ${kept.length === 0 ? nothing : this.#removeAll()}
      </div>
    </details>`;
  }

  #removeAll(): TemplateResult {
    if (!this.isAsking) {
      return html`<button class="danger small" ?disabled=${this.busy} @click=${() => this.#ask(true)}>Delete all</button>`;
    }
    return html`<span role="alert">Delete all ${this.kept.length}? There is no way back.</span>
      <button class="danger small" @click=${this.#sayRemoveAll}>Delete all of them</button>
      <button class="quiet small" @click=${() => this.#ask(false)}>Keep them</button>`;
  }

  #ask(isAsking: boolean): void {
    this.isAsking = isAsking;
  }

  #sayRemoveAll(): void {
    this.isAsking = false;
    emit(this, 'remove-all', null);
  }
}

customElements.define('chat-history', ChatHistory);
