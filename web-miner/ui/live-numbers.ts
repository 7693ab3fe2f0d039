import { html, LitElement, type TemplateResult } from 'lit';
import { fetchNetworkFigures, type NetworkFigures } from './network-figures.ts';

/** How the network is at the moment, in a sentence. Where it cannot be asked, what the page says without it stays. */
export class LiveNumbers extends LitElement {
  static override properties = { figures: { state: true } };
  declare figures: NetworkFigures | null;

  constructor() {
    super();
    this.figures = null;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    fetchNetworkFigures().then(
      (figures) => {
        this.figures = figures;
      },
      () => undefined,
    );
  }

  override render(): TemplateResult {
    const { figures } = this;
    if (figures === null) return html`<slot></slot>`;
    const { tabs, tokens_per_second: speed, last_day: day } = figures;
    if (tabs === 0) return html`No tab swims at the moment: the first one could be yours.`;
    const rate = speed === 0 ? '' : ` at ${Math.round(speed)} tokens per second`;
    return html`<strong>${tabs} ${tabs === 1 ? 'tab swims' : 'tabs swim'}</strong> at the moment${rate}.
      ${day.answers === 0 ? '' : `${day.answers} ${day.answers === 1 ? 'answer' : 'answers'} in the last day, ${day.sure.verified} of them verified, ${day.sure.refuted} found wrong.`}`;
  }
}

customElements.define('live-numbers', LiveNumbers);
