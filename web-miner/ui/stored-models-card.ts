import { css, html, LitElement, type TemplateResult } from 'lit';
import { deleteStored, type StoredModel, storageRoom, storedModels } from '../models/stored-models.ts';
import { controls } from './controls.ts';
import { megabytes } from './format.ts';
import { joinStyles } from './join-styles.ts';

/** What this browser keeps of models, with sizes; one or all can be deleted. Asks the browser by itself whenever `version` changes. */
export class StoredModelsCard extends LitElement {
  static override properties = { version: { type: Number }, stored: { state: true }, room: { state: true } };
  declare version: number;
  /** Null: this browser keeps nothing. */
  declare stored: readonly StoredModel[] | null;
  declare room: number | null;

  static override styles = [
    controls,
    joinStyles,
    css`
      li {
        display: flex;
        flex-wrap: wrap;
        gap: 8px 12px;
        align-items: center;
        justify-content: space-between;
        padding: 4px 0;
      }
    `,
  ];

  constructor() {
    super();
    this.version = 0;
    this.stored = [];
    this.room = null;
  }

  override willUpdate(changed: Map<string, unknown>): void {
    if (changed.has('version')) void this.#look();
  }

  override render(): TemplateResult {
    const all = this.stored?.reduce((sum, { storedBytes }) => sum + storedBytes, 0) ?? 0;
    return html`<section class="card" aria-labelledby="stored">
      <h2 id="stored" tabindex="-1">Kept in this browser</h2>
      ${
        this.stored === null
          ? html`<p class="soft" role="status">This browser keeps nothing: models are fetched again at each visit.</p>`
          : this.stored.length === 0
            ? html`<p class="soft" role="status">No model is kept.</p>`
            : html`<ul class="plain">
                  ${this.stored.map((model) => this.#model(model))}
                </ul>
                <div class="row below">
                  <span role="status">${megabytes(all)} in all${this.room === null ? '' : `; the browser has room for ${megabytes(this.room)} more`}.</span>
                  <button id="delete-all" class="quiet" @click=${() => this.#delete('all')}>Delete all</button>
                </div>`
      }
    </section>`;
  }

  #model({ weights, name, storedBytes, wholeBytes }: StoredModel): TemplateResult {
    const called = name ?? 'A model of an earlier visit';
    const part = wholeBytes !== null && storedBytes < wholeBytes ? ` of ${megabytes(wholeBytes)}` : '';
    return html`<li>
      <span>${called}, ${megabytes(storedBytes)}${part}</span>
      <button class="quiet" aria-label=${`Delete ${called}`} @click=${() => this.#delete(weights)}>Delete</button>
    </li>`;
  }

  async #look(): Promise<void> {
    const [stored, room] = await Promise.all([storedModels().catch(() => null), storageRoom()]);
    this.stored = stored;
    this.room = room?.freeBytes ?? null;
  }

  async #delete(which: string): Promise<void> {
    await deleteStored(which).catch(() => undefined);
    await this.#look();
    // The button is gone: the heading is where a keyboard goes on from.
    this.renderRoot.querySelector<HTMLElement>('h2')?.focus();
  }
}

customElements.define('stored-models-card', StoredModelsCard);
