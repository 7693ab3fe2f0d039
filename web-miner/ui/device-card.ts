import { css, html, LitElement, type TemplateResult } from 'lit';
import type { Preflight, Role } from '../preflight/judge-device.ts';
import { controls } from './controls.ts';
import { joinStyles } from './join-styles.ts';

const ROLES: Readonly<Record<Role, string>> = { answer: 'Answer', check: 'Only check', embed: 'Only embed' };

/** What was found out about the device, and what it is good for. */
export class DeviceCard extends LitElement {
  static override properties = { device: { attribute: false } };
  declare device: Preflight | null;

  static override styles = [
    controls,
    joinStyles,
    css`
      li {
        display: grid;
        grid-template-columns: 7.5rem 1fr;
        gap: 8px;
        padding: 4px 0;
      }
      h3 {
        font-size: 0.95rem;
        margin: 14px 0 4px;
      }
    `,
  ];

  constructor() {
    super();
    this.device = null;
  }

  override render(): TemplateResult {
    return html`<section class="card" aria-labelledby="device">
      <h2 id="device">This device</h2>
      ${this.device === null ? html`<p class="soft">Looking…</p>` : this.#found(this.device)}
    </section>`;
  }

  #found({ findings, roles }: Preflight): TemplateResult {
    return html`<ul class="plain">
        ${findings.map(({ name, verdict, text }) => html`<li><strong class=${verdict}>${name}</strong><span>${text}</span></li>`)}
      </ul>
      <h3>What it is good for</h3>
      <ul class="plain">
        ${roles.map(({ role, fits, because }) => html`<li><strong class=${fits ? 'good' : 'limited'}>${ROLES[role]}${fits ? '' : ': better not'}</strong><span>${because}</span></li>`)}
      </ul>`;
  }
}

customElements.define('device-card', DeviceCard);
