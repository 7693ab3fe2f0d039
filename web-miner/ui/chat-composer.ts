import { css, html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { LEVELS, type Level } from '../../shared/protocol/level.ts';
import { type ChatSettings, DEFAULT_SETTINGS, MAX_SIDE_BY_SIDE } from '../chat/chat-settings.ts';
import './chat-settings.ts';
import { controls } from './controls.ts';
import { emit } from './emit.ts';
import type { ListedModel } from './model-list.ts';

const LEVEL_WORDS: Readonly<Record<Level, string>> = {
  none: 'none: no check',
  basic: 'basic: checked now and then',
  cross: 'cross: always checked, afterwards',
  strict: 'strict: shown only when verified',
};

/**
 * Where the question is written, and how it is asked. Says `ask` with the question, `stop`, `fresh`, `leave-edit`, `model` with an id, `direct` with yes or no, and what
 * the settings say.
 */
export class ChatComposer extends LitElement {
  static override properties = {
    models: { attribute: false },
    model: {},
    settings: { attribute: false },
    direct: { type: Boolean },
    busy: { type: Boolean },
    hasTurns: { type: Boolean },
    trouble: { attribute: false },
    edited: { attribute: false },
    apiKey: { attribute: false },
    keepsKey: { type: Boolean },
  };
  declare models: readonly ListedModel[];
  declare model: string;
  declare settings: ChatSettings;
  declare direct: boolean;
  declare busy: boolean;
  declare hasTurns: boolean;
  declare trouble: string | null;
  /** The question of an earlier turn that is to be changed; null: a new one is written. */
  declare edited: string | null;
  declare apiKey: string;
  declare keepsKey: boolean;

  static override styles = [
    controls,
    css`
      .end { align-items: flex-end; margin-top: 12px; }
      .below { margin-top: 14px; }
      .bad { color: var(--bad); font-weight: 600; }
      textarea { resize: vertical; min-height: 88px; }
      .grow { flex: 1 1 150px; min-width: 0; }
      .widest { flex-grow: 2; }
    `,
  ];

  constructor() {
    super();
    this.models = [];
    this.model = '';
    this.settings = DEFAULT_SETTINGS;
    this.direct = false;
    this.busy = false;
    this.hasTurns = false;
    this.trouble = null;
    this.edited = null;
    this.apiKey = '';
    this.keepsKey = false;
  }

  protected override updated(changed: PropertyValues<this>): void {
    const field = this.#field;
    if (!changed.has('edited') || this.edited === null || field === null) return;
    field.value = this.edited;
    field.focus();
  }

  focusPrompt(): void {
    this.#field?.focus();
  }

  override render(): TemplateResult {
    const { busy, edited, settings } = this;
    return html`<form class="card" @submit=${this.#submit}>
      ${this.trouble === null ? nothing : html`<p role="alert" class="bad">${this.trouble}</p>`}
      <label for="prompt">${edited === null ? 'Your prompt' : 'Your prompt, changed'}</label>
      <textarea id="prompt" required maxlength="100000" @keydown=${this.#key} placeholder="How do I make a cup of tea?"></textarea>
      <div class="row end">
        <div class="grow widest">
          <label for="model">Model</label>
          <select id="model" ?disabled=${busy} @change=${(event: Event) => emit(this, 'model', chosenOf(event))}>
            ${this.models.map(
              (model) =>
                html`<option value=${model.id} ?selected=${model.id === this.model}>
                  ${model.id} (${model.shoal.tabs} ${model.shoal.tabs === 1 ? 'tab' : 'tabs'})
                </option>`,
            )}
          </select>
        </div>
        <div class="grow">
          <label for="level">Check</label>
          <select id="level" ?disabled=${busy} @change=${this.#setLevel}>
            <option value="" ?selected=${settings.level === null}>as the router has it</option>
            ${LEVELS.map(
              (level) =>
                html`<option value=${level} ?selected=${settings.level === level}>${LEVEL_WORDS[level]}</option>`,
            )}
          </select>
        </div>
        <div class="grow">
          <label for="answers">Answers</label>
          <select id="answers" ?disabled=${busy} @change=${(event: Event) => emit(this, 'settings', { answers: Number(chosenOf(event)) })}>
            ${Array.from(
              { length: MAX_SIDE_BY_SIDE },
              (_, i) =>
                html`<option value=${i + 1} ?selected=${settings.answers === i + 1}>${i === 0 ? 'one' : `${i + 1} side by side`}</option>`,
            )}
          </select>
        </div>
      </div>
      <div class="row end">
        ${
          busy
            ? html`<button id="stop" type="button" class="quiet" @click=${() => emit(this, 'stop', null)}>Stop</button>`
            : html`<button id="send" ?disabled=${this.model === ''}>${edited === null ? 'Send' : 'Send in its place'}</button>`
        }
        ${
          edited === null || busy
            ? nothing
            : html`<button type="button" class="quiet" @click=${this.#leaveEdit}>Leave it as it was</button>`
        }
        ${
          busy || !this.hasTurns
            ? nothing
            : html`<button id="new" type="button" class="quiet" @click=${() => emit(this, 'fresh', null)}>
                New conversation
              </button>`
        }
      </div>
      <label class="check below">
        <input
          id="private"
          type="checkbox"
          .checked=${settings.isPrivate}
          ?disabled=${busy}
          @change=${(event: Event) => emit(this, 'settings', { isPrivate: isChecked(event) })}
        />
        <span>Private: sealed in this page. Without it the prompt goes by plain HTTP, and the router can read it.</span>
      </label>
      <label class="check">
        <input
          id="direct"
          type="checkbox"
          .checked=${this.direct}
          ?disabled=${busy || !settings.isPrivate}
          @change=${(event: Event) => emit(this, 'direct', isChecked(event))}
        />
        <span>Use direct links where the tab allows them. That tab can then see this device’s network address, and you see its.</span>
      </label>
      <details>
        <summary>System prompt, sampling, API key${this.#countOfSet()}</summary>
        <chat-settings
          .settings=${settings}
          .apiKey=${this.apiKey}
          .keepsKey=${this.keepsKey}
          ?busy=${busy}
        ></chat-settings>
      </details>
      ${this.#modelNote()}
    </form>`;
  }

  get #field(): HTMLTextAreaElement | null {
    return this.renderRoot.querySelector<HTMLTextAreaElement>('#prompt');
  }

  /** What was set at an earlier visit must not be forgotten behind a closed lid. */
  #countOfSet(): string {
    const { system, temperature, topP, maxTokens, seed } = this.settings;
    const set = [temperature, topP, maxTokens, seed].filter((value) => value !== null).length;
    const all = set + (system.trim() === '' ? 0 : 1);
    return all === 0 ? '' : `: ${all} set`;
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

  #setLevel(event: Event): void {
    const value = chosenOf(event);
    emit(this, 'settings', { level: LEVELS.find((level) => level === value) ?? null });
  }

  #leaveEdit(): void {
    const field = this.#field;
    if (field !== null) field.value = '';
    emit(this, 'leave-edit', null);
  }

  #submit(event: Event): void {
    event.preventDefault();
    const field = this.#field;
    const question = field?.value.trim() ?? '';
    if (field === null || question === '' || this.busy) return;
    field.value = '';
    emit(this, 'ask', question);
  }
}

function chosenOf(event: Event): string {
  return (event.target as HTMLSelectElement).value;
}

function isChecked(event: Event): boolean {
  return (event.target as HTMLInputElement).checked;
}

customElements.define('chat-composer', ChatComposer);
