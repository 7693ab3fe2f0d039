import { html, LitElement, nothing, type TemplateResult } from 'lit';
import type { Ladder, LadderEntry } from '../models/model-ladder.ts';
import { controls } from './controls.ts';
import { megabytes } from './format.ts';
import { joinStyles } from './join-styles.ts';
import type { ListedModel } from './model-list.ts';

/** Value of the choice that leaves it to the tab. */
export const BEST = 'best';

/** Which model, how large, under which terms. Fires `model-chosen` (a name, or `best`) and `terms-accepted` (boolean). */
export class ModelChoice extends LitElement {
  static override properties = {
    models: { attribute: false },
    ladder: { attribute: false },
    chosen: { type: String },
    isLocked: { type: Boolean },
    isAccepted: { type: Boolean },
  };
  declare models: readonly ListedModel[];
  /** What `best` comes to on this device; null until it was looked at. */
  declare ladder: Ladder<LadderEntry> | null;
  declare chosen: string;
  declare isLocked: boolean;
  declare isAccepted: boolean;

  static override styles = [controls, joinStyles];

  constructor() {
    super();
    this.models = [];
    this.ladder = null;
    this.chosen = BEST;
    this.isLocked = false;
    this.isAccepted = false;
  }

  override render(): TemplateResult {
    return html`<label for="model">Model</label>
      <select id="model" ?disabled=${this.isLocked} @change=${this.#choose}>
        <option value=${BEST} ?selected=${this.chosen === BEST}>Best for this device${this.#sizes()}</option>
        ${this.models.flatMap(({ id, shoal }) =>
          shoal.variants.map((variant) => {
            const name = `${id}:${variant.id}`;
            return html`<option value=${name} ?selected=${name === this.chosen}>${name} (${megabytes(variant.bytes)})</option>`;
          }),
        )}
      </select>
      ${this.chosen === BEST && this.ladder !== null ? html`<p class="soft below">${this.ladder.because}</p>` : nothing}
      ${modelsMeant(this.models, this.chosen, this.ladder).map((model) => this.#about(model))} ${this.#terms()}`;
  }

  #sizes(): string {
    if (this.ladder === null) return '';
    const { first, next } = this.ladder;
    return next === null
      ? ` (${first.name}, ${megabytes(first.bytes)})`
      : ` (${first.name}, ${megabytes(first.bytes)}, then ${next.name}, ${megabytes(next.bytes)})`;
  }

  #about(model: ListedModel): TemplateResult {
    const { shoal } = model;
    const { id, notice, url } = shoal.licence;
    return html`${
      chats(model)
        ? nothing
        : html`<p class="below" id="role"><strong>Embed only.</strong> This tab turns texts into numbers, for search. It is never asked for a chat, so a small device is enough.</p>`
    }<p class="soft below">
      ${shoal.name}: ${shoal.description} Licence:
      ${url === null ? id : html`<a href=${url} target="_blank" rel="noopener noreferrer">${id}</a>`}.
      ${shoal.licence.must_show ? html`<strong>${notice}</strong>` : nothing}
    </p>`;
  }

  #terms(): TemplateResult | typeof nothing {
    if (!mustAccept(this.models, this.chosen, this.ladder)) return nothing;
    return html`<label class="check">
      <input id="terms" type="checkbox" .checked=${this.isAccepted} ?disabled=${this.isLocked} @change=${this.#accept} />
      <span>I have read the terms of this model. It is downloaded only then.</span>
    </label>`;
  }

  #choose(event: Event): void {
    this.dispatchEvent(new CustomEvent('model-chosen', { detail: (event.target as HTMLSelectElement).value }));
  }

  #accept(event: Event): void {
    this.dispatchEvent(new CustomEvent('terms-accepted', { detail: (event.target as HTMLInputElement).checked }));
  }
}

/** The models that a choice may download. */
function modelsMeant(
  models: readonly ListedModel[],
  chosen: string,
  ladder: Ladder<LadderEntry> | null,
): readonly ListedModel[] {
  const names = chosen === BEST ? [ladder?.first.name, ladder?.next?.name] : [chosen];
  return models.filter(({ id }) => names.some((name) => name?.split(':')[0] === id));
}

/** Whether a person must have agreed to the terms of a model before it is fetched. */
export function mustAccept(
  models: readonly ListedModel[],
  chosen: string,
  ladder: Ladder<LadderEntry> | null,
): boolean {
  return modelsMeant(models, chosen, ladder).some(({ shoal }) => shoal.licence.must_show);
}

/** Whether a model chats; one that does not embeds, and its tab is never asked for a chat. */
export function chats({ shoal }: ListedModel): boolean {
  return shoal.capabilities.includes('chat');
}

/** Each variant as the choice of a model sees it. */
export function ladderEntries(models: readonly ListedModel[]): LadderEntry[] {
  return models.flatMap(({ id, shoal }) =>
    shoal.variants.map((variant) => ({
      name: `${id}:${variant.id}`,
      class: variant.classes[0]?.id ?? '',
      format: variant.format,
      bytes: variant.bytes,
      memoryBytes: variant.memory_bytes,
      needs: variant.needs,
    })),
  );
}

customElements.define('model-choice', ModelChoice);
