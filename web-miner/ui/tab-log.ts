import { css, html, LitElement, type TemplateResult } from 'lit';
import { controls } from './controls.ts';
import { joinStyles } from './join-styles.ts';
import type { LogLine } from './log-lines.ts';

/** What the tab did, the newest first. */
export class TabLog extends LitElement {
  static override properties = { lines: { attribute: false } };
  declare lines: readonly LogLine[];

  static override styles = [
    controls,
    joinStyles,
    css`
      ol {
        max-height: 260px;
        overflow-y: auto;
        margin: 8px 0 0;
        padding: 0;
        list-style: none;
      }
      li {
        display: grid;
        grid-template-columns: 6.5rem 1fr;
        gap: 8px;
        padding: 2px 0;
      }
      time {
        color: var(--soft);
        font-variant-numeric: tabular-nums;
      }
    `,
  ];

  constructor() {
    super();
    this.lines = [];
  }

  override render(): TemplateResult {
    return html`<section class="card" aria-labelledby="log">
      <h2 id="log">What it did</h2>
      ${
        this.lines.length === 0
          ? html`<p class="soft">Nothing yet. Neither prompts nor answers are ever written here.</p>`
          : html`<ol tabindex="0" aria-labelledby="log">
              ${this.lines.map(({ at, text }) => html`<li><time datetime=${new Date(at).toISOString()}>${new Date(at).toLocaleTimeString()}</time><span>${text}</span></li>`)}
            </ol>`
      }
    </section>`;
  }
}

customElements.define('tab-log', TabLog);
