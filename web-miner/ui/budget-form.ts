import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { type BudgetSettings, DEFAULT_BUDGET, SHARES } from '../budget/budget-settings.ts';
import { controls } from './controls.ts';
import { megabytes } from './format.ts';
import { joinStyles } from './join-styles.ts';

/** What this browser can tell about the device: a rule without a signal cannot be kept. */
export interface BudgetSignalsThere {
  readonly power: boolean;
  readonly pressure: boolean;
  /** Whether it sees the whole device, or only this page. */
  readonly idleDevice: boolean;
  readonly wakeLock: boolean;
}

const DATA_CHOICES = [
  { bytes: null, text: 'no limit' },
  { bytes: 100e6, text: '100 MB' },
  { bytes: 500e6, text: '500 MB' },
  { bytes: 2e9, text: '2 GB' },
  { bytes: 10e9, text: '10 GB' },
] as const;

/** With the one that holds, also where it is none of ours: a limit must not look like none. */
function dataChoices(kept: number | null): readonly { readonly bytes: number | null; readonly text: string }[] {
  if (kept === null || DATA_CHOICES.some(({ bytes }) => bytes === kept)) return DATA_CHOICES;
  return [...DATA_CHOICES, { bytes: kept, text: megabytes(kept) }];
}

/** When the tab may work. Fires `budget-changed` with the new settings. */
export class BudgetForm extends LitElement {
  static override properties = {
    settings: { attribute: false },
    there: { attribute: false },
    isKept: { type: Boolean },
  };
  declare settings: BudgetSettings;
  declare there: BudgetSignalsThere;
  declare isKept: boolean;

  static override styles = [
    controls,
    joinStyles,
    css`
      .pair {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(200px, 1fr));
        gap: 14px;
      }
      .hours select {
        width: auto;
        min-width: 6rem;
      }
    `,
  ];

  constructor() {
    super();
    this.settings = DEFAULT_BUDGET;
    this.there = { power: false, pressure: false, idleDevice: false, wakeLock: false };
    this.isKept = true;
  }

  override render(): TemplateResult {
    const { settings, there } = this;
    return html`<section class="card" aria-labelledby="budget">
      <h2 id="budget">When it may work</h2>
      <div class="pair">
        <div>
          <label for="share">Share of the time</label>
          <select id="share" @change=${this.#share}>
            ${SHARES.map((share) => html`<option value=${share} ?selected=${share === settings.sharePercent}>${share === 100 ? 'all of it' : `at most ${share} %`}</option>`)}
          </select>
        </div>
        <div>
          <label for="daily">Data a day, downloads included</label>
          <select id="daily" @change=${this.#daily}>
            ${dataChoices(settings.dailyBytes).map(({ bytes, text }) => html`<option value=${String(bytes)} ?selected=${bytes === settings.dailyBytes}>${text}</option>`)}
          </select>
        </div>
      </div>
      ${this.#box(
        'onlyWhenIdle',
        there.idleDevice
          ? 'Only while nobody uses the device. The browser will ask whether this page may know.'
          : 'Only while nobody uses this page. This browser does not let a page see more than itself.',
      )}
      ${this.#box('onlyWhenPluggedIn', there.power ? 'Only while plugged in.' : 'Only while plugged in: this browser does not say whether it is.', !there.power)}
      ${this.#box('onlyInForeground', 'Only while this tab is in the foreground.')}
      ${this.#box('easeUnderPressure', there.pressure ? 'Rest while the processor is under pressure.' : 'Rest while the processor is under pressure: this browser does not say when it is.', !there.pressure)}
      ${this.#box('restWhenSlow', 'Rest when the device becomes much slower than it was: it is hot, or you need it.')}
      ${this.#box('keepAwake', there.wakeLock ? 'Keep the screen on while it works. A sleeping device breaks its answers off.' : 'Keep the screen on while it works: this browser cannot.', !there.wakeLock)}
      <label class="check">
        <input id="hours" type="checkbox" .checked=${settings.hours !== null} @change=${this.#hours} />
        <span>Only in these hours:</span>
      </label>
      ${settings.hours === null ? nothing : this.#between(settings.hours)}
      <p class="soft">
        What runs is always finished first. ${this.isKept ? 'These choices are kept in this browser.' : 'This browser keeps nothing: these choices last as long as the page.'}
      </p>
    </section>`;
  }

  #box(name: keyof BudgetSettings, text: string, isDisabled = false): TemplateResult {
    const isOn = this.settings[name] === true;
    // A rule that holds and cannot be kept may always be switched off.
    return html`<label class="check">
      <input id=${name} type="checkbox" .checked=${isOn && !(isDisabled && name !== 'onlyWhenPluggedIn')} ?disabled=${isDisabled && !(isOn && name === 'onlyWhenPluggedIn')} @change=${(event: Event) => this.#change({ [name]: (event.target as HTMLInputElement).checked })} />
      <span>${text}</span>
    </label>`;
  }

  #between({ from, to }: NonNullable<BudgetSettings['hours']>): TemplateResult {
    const choice = (id: 'from' | 'to', label: string, value: number) => html`<div>
      <label for=${id}>${label}</label>
      <select id=${id} @change=${(event: Event) => this.#change({ hours: { from, to, [id]: Number((event.target as HTMLSelectElement).value) } })}>
        ${Array.from({ length: 24 }, (_, hour) => html`<option value=${hour} ?selected=${hour === value}>${hour}:00</option>`)}
      </select>
    </div>`;
    return html`<div class="row hours">${choice('from', 'From', from)} ${choice('to', 'Until', to)}</div>`;
  }

  #share(event: Event): void {
    const value = Number((event.target as HTMLSelectElement).value);
    this.#change({ sharePercent: SHARES.find((share) => share === value) ?? 100 });
  }

  #daily(event: Event): void {
    const value = Number((event.target as HTMLSelectElement).value);
    this.#change({ dailyBytes: Number.isFinite(value) && value > 0 ? value : null });
  }

  #hours(event: Event): void {
    this.#change({ hours: (event.target as HTMLInputElement).checked ? { from: 22, to: 7 } : null });
  }

  #change(changed: Partial<BudgetSettings>): void {
    const settings = { ...this.settings, ...changed };
    this.dispatchEvent(new CustomEvent<BudgetSettings>('budget-changed', { detail: settings }));
  }
}

customElements.define('budget-form', BudgetForm);
