import { css, html, LitElement, type TemplateResult } from 'lit';
import { type ChatSettings, DEFAULT_SETTINGS } from '../chat/chat-settings.ts';
import { controls } from './controls.ts';
import { emit } from './emit.ts';

const PLAIN: Partial<ChatSettings> = { system: '', temperature: null, topP: null, maxTokens: null, seed: null };

/** What is seldom changed: system prompt, sampling, key. Says `settings` with what changed, and `key` with the key and whether to keep it. */
export class ChatSettingsPanel extends LitElement {
  static override properties = {
    settings: { attribute: false },
    apiKey: { attribute: false },
    keepsKey: { type: Boolean },
    busy: { type: Boolean },
  };
  declare settings: ChatSettings;
  declare apiKey: string;
  declare keepsKey: boolean;
  declare busy: boolean;

  static override styles = [
    controls,
    css`
      .fields { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); margin: 12px 0; }
      textarea { min-height: 60px; resize: vertical; }
      .row { margin-bottom: 14px; }
    `,
  ];

  constructor() {
    super();
    this.settings = DEFAULT_SETTINGS;
    this.apiKey = '';
    this.keepsKey = false;
    this.busy = false;
  }

  override render(): TemplateResult {
    const { settings, busy } = this;
    return html`
      <label for="system">System prompt</label>
      <textarea
        id="system"
        maxlength="20000"
        placeholder="Left empty: none"
        .value=${settings.system}
        ?disabled=${busy}
        @change=${(event: Event) => this.#set({ system: textOf(event) })}
      ></textarea>
      <div class="fields">
        ${this.#number('temperature', 'Temperature', settings.temperature, 0, 2, 0.1)}
        ${this.#number('topP', 'Top p', settings.topP, 0, 1, 0.05)}
        ${this.#number('maxTokens', 'Tokens at most', settings.maxTokens, 1, 32_768, 1)}
        ${this.#number('seed', 'Seed', settings.seed, 0, 4_294_967_294, 1)}
      </div>
      <p class="soft">
        What is left empty is as the model has it; without a seed each answer gets one of its own. All of this, the API key apart, is kept in this browser for your next visit.
      </p>
      <div class="row">
        <button type="button" class="quiet small" ?disabled=${busy} @click=${() => this.#set(PLAIN)}>Empty these fields</button>
      </div>
      <label for="key">API key</label>
      <input
        id="key"
        type="password"
        autocomplete="off"
        spellcheck="false"
        placeholder="Left empty: as a visitor"
        .value=${this.apiKey}
        ?disabled=${busy}
        @change=${(event: Event) => emit(this, 'key', { key: textOf(event).trim(), keeps: this.keepsKey })}
      />
      <label class="check">
        <input
          id="keep-key"
          type="checkbox"
          .checked=${this.keepsKey}
          ?disabled=${busy}
          @change=${(event: Event) => emit(this, 'key', { key: this.apiKey, keeps: (event.target as HTMLInputElement).checked })}
        />
        <span>Keep the key in this browser. Otherwise it is forgotten when the page closes.</span>
      </label>
    `;
  }

  #number(
    name: 'temperature' | 'topP' | 'maxTokens' | 'seed',
    label: string,
    value: number | null,
    min: number,
    max: number,
    step: number,
  ): TemplateResult {
    const set = (event: Event) => {
      const input = event.target as HTMLInputElement;
      const entered = input.value === '' ? null : Number(input.value);
      if (entered === null) return this.#set({ [name]: null });
      if (!Number.isFinite(entered)) return;
      const allowed = Math.min(max, Math.max(min, step === 1 ? Math.round(entered) : entered));
      input.value = String(allowed);
      this.#set({ [name]: allowed });
    };
    return html`<div>
      <label for=${name}>${label}</label>
      <input
        id=${name}
        type="number"
        min=${min}
        max=${max}
        step=${step}
        .value=${value === null ? '' : String(value)}
        ?disabled=${this.busy}
        @change=${set}
      />
    </div>`;
  }

  #set(part: Partial<ChatSettings>): void {
    emit(this, 'settings', part);
  }
}

function textOf(event: Event): string {
  return (event.target as HTMLInputElement | HTMLTextAreaElement).value;
}

customElements.define('chat-settings', ChatSettingsPanel);
