import { css, html, LitElement, type TemplateResult } from 'lit';

type Theme = 'system' | 'light' | 'dark';

const NEXT: Readonly<Record<Theme, Theme>> = { system: 'dark', dark: 'light', light: 'system' };
const SIGN: Readonly<Record<Theme, string>> = { system: '◐', dark: '☾', light: '☀' };
/** As `theme.js` reads it before the first paint. */
const NAME = 'shoal-theme';

/** The button in the header of every page: theme of the system, dark, light. */
export class ThemeSwitch extends LitElement {
  static override properties = { theme: { state: true } };
  declare theme: Theme;

  static override styles = css`
    button {
      width: 44px;
      height: 44px;
      padding: 0;
      border: 1px solid transparent;
      border-radius: 10px;
      background: transparent;
      color: var(--text);
      font: 1.2rem / 1 var(--sans);
      cursor: pointer;
    }
    button:hover { border-color: var(--line); }
    button:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
  `;

  constructor() {
    super();
    const { theme } = document.documentElement.dataset;
    this.theme = theme === 'light' || theme === 'dark' ? theme : 'system';
  }

  override render(): TemplateResult {
    const words = this.theme === 'system' ? 'as the system has it' : this.theme;
    return html`<button type="button" @click=${this.#next} aria-label=${`Theme: ${words}. Change it`} title=${`Theme: ${words}`}>
      <span aria-hidden="true">${SIGN[this.theme]}</span>
    </button>`;
  }

  #next(): void {
    this.theme = NEXT[this.theme];
    const { dataset } = document.documentElement;
    if (this.theme === 'system') delete dataset.theme;
    else dataset.theme = this.theme;
    try {
      if (this.theme === 'system') localStorage.removeItem(NAME);
      else localStorage.setItem(NAME, this.theme);
    } catch {
      // Storage is full or switched off: the choice lasts as long as the page.
    }
  }
}

customElements.define('theme-switch', ThemeSwitch);
