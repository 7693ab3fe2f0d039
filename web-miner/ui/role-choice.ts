import { css, html, LitElement, type TemplateResult } from 'lit';
import type { Role, RoleFit } from '../preflight/judge-device.ts';
import { controls } from './controls.ts';
import { joinStyles } from './join-styles.ts';

const WORDS: Readonly<Record<Role, { readonly name: string; readonly text: string }>> = {
  answer: {
    name: 'Answer, and check',
    text: 'Others’ prompts make this tab write; now and then it checks what another tab wrote.',
  },
  check: {
    name: 'Only check',
    text: 'It writes again what another tab has written, to compare. It answers nobody, and nobody waits: a slow device is as welcome as a fast one.',
  },
  embed: {
    name: 'Only turn texts into numbers',
    text: 'For search. It writes no word at all, and a small device is enough.',
  },
};

/** What a visitor lets others use the tab for. Fires `role-chosen` with a {@link Role}. */
export class RoleChoice extends LitElement {
  static override properties = {
    chosen: { attribute: false },
    fits: { attribute: false },
    hasEmbedding: { type: Boolean },
    isLocked: { type: Boolean },
  };
  declare chosen: Role;
  /** What this device is good for; empty until it was looked at. */
  declare fits: readonly RoleFit[];
  /** The router has a model for it. */
  declare hasEmbedding: boolean;
  declare isLocked: boolean;

  static override styles = [
    controls,
    joinStyles,
    css`
      fieldset { margin: 14px 0; padding: 0; border: 0; min-width: 0; }
      legend { padding: 0; font-weight: 600; }
      label.check { margin: 8px 0; }
      strong { font-weight: 600; }
      label.check .soft, label.check .limited { display: block; font-size: 0.9rem; }
    `,
  ];

  constructor() {
    super();
    this.chosen = 'answer';
    this.fits = [];
    this.hasEmbedding = false;
    this.isLocked = false;
  }

  override render(): TemplateResult {
    return html`<fieldset>
      <legend>What others may use it for</legend>
      ${(['answer', 'check', 'embed'] as const).map((role) => this.#choice(role))}
    </fieldset>`;
  }

  #choice(role: Role): TemplateResult {
    const isOffered = role !== 'embed' || this.hasEmbedding;
    const { name, text } = WORDS[role];
    const fit = this.fits.find((one) => one.role === role);
    return html`<label class="check">
      <input
        type="radio"
        name="role"
        id=${`role-${role}`}
        .checked=${this.chosen === role}
        ?disabled=${this.isLocked || !isOffered}
        @change=${() => this.dispatchEvent(new CustomEvent<Role>('role-chosen', { detail: role }))}
      />
      <span>
        <strong>${name}</strong>
        <span class="soft">${isOffered ? text : 'For search. This router has no model for it.'}</span>
        ${fit !== undefined && !fit.fits ? html`<span class="limited">${fit.because}</span>` : ''}
      </span>
    </label>`;
  }
}

customElements.define('role-choice', RoleChoice);
