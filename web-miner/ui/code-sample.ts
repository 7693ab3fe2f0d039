import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { CODE_KINDS, CODE_NAMES, CODE_NOTES, type CodeKind, codeFor } from '../chat/code-for.ts';
import type { Exchange } from '../chat/exchange.ts';
import { controls } from './controls.ts';

/** The code that asks again what was asked on the page. */
export class CodeSample extends LitElement {
  static override properties = {
    exchange: { attribute: false },
    withKey: { type: Boolean },
    kind: { state: true },
    copied: { state: true },
  };
  declare exchange: Exchange | null;
  declare withKey: boolean;
  /** Null until one is chosen: the way that was taken on the page. */
  declare kind: CodeKind | null;
  declare copied: string;

  static override styles = [
    controls,
    css`
      pre {
        overflow-x: auto;
        max-height: 320px;
        margin: 8px 0;
        padding: 12px 14px;
        border: 1px solid var(--line);
        border-radius: 8px;
        background: var(--sunken);
        font: 0.85rem / 1.5 var(--mono);
      }
      select { width: auto; }
    `,
  ];

  constructor() {
    super();
    this.exchange = null;
    this.withKey = false;
    this.kind = null;
    this.copied = '';
  }

  override render(): TemplateResult | typeof nothing {
    const code = this.#code();
    if (code === null) return nothing;
    return html`
      <div class="row">
        <select aria-label="Language of the code" @change=${this.#choose}>
          ${CODE_KINDS.map((kind) => html`<option value=${kind} ?selected=${kind === this.#kind}>${CODE_NAMES[kind]}</option>`)}
        </select>
        <button class="quiet small" @click=${this.#copy}>Copy</button>
        <span role="status" class="soft">${this.copied}</span>
      </div>
      <pre tabindex="0" role="group" aria-label="Code"><code>${code}</code></pre>
      <p class="soft">${CODE_NOTES[this.#kind]}</p>
    `;
  }

  get #kind(): CodeKind {
    return this.kind ?? (this.exchange?.isPrivate === false ? 'curl' : 'client');
  }

  #code(): string | null {
    return this.exchange === null ? null : codeFor(this.#kind, this.exchange, location.origin, this.withKey);
  }

  #choose(event: Event): void {
    const { value } = event.target as HTMLSelectElement;
    this.kind = CODE_KINDS.find((kind) => kind === value) ?? null;
    this.copied = '';
  }

  async #copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(this.#code() ?? '');
      this.copied = 'Copied';
    } catch {
      this.copied = 'The browser did not allow it: select the text instead.';
    }
  }
}

customElements.define('code-sample', CodeSample);
