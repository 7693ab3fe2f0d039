import { css, html, LitElement, svg, type TemplateResult } from 'lit';
import { speed } from './format.ts';
import { CHART_SECONDS, chartPoints, type SpeedHistory } from './speed-history.ts';

const WIDTH = 300;
const HEIGHT = 48;

/** Tokens per second over the last minute, as a line and as words. */
export class SpeedChart extends LitElement {
  static override properties = { history: { attribute: false } };
  declare history: SpeedHistory;

  static override styles = css`
    :host {
      display: block;
      margin: 12px 0;
    }
    svg {
      display: block;
      width: 100%;
      height: 56px;
      border-radius: 10px;
      background: var(--sunken);
    }
    polyline {
      fill: none;
      stroke: var(--accent);
      stroke-width: 2;
      vector-effect: non-scaling-stroke;
    }
    p {
      margin: 4px 0 0;
      font-size: 0.85rem;
      color: var(--soft);
    }
  `;

  constructor() {
    super();
    this.history = [];
  }

  override render(): TemplateResult {
    const most = Math.max(0, ...this.history);
    const busy = this.history.filter((one) => one > 0).length;
    const words =
      busy === 0
        ? `It wrote nothing in the last ${CHART_SECONDS} seconds.`
        : `Tokens per second in the last ${CHART_SECONDS} seconds: at most ${speed(most)}; it wrote in ${busy} of them.`;
    return html`<svg viewBox="0 -4 ${WIDTH} ${HEIGHT + 8}" preserveAspectRatio="none" aria-hidden="true">
        ${svg`<polyline points=${chartPoints(this.history, WIDTH, HEIGHT)} />`}
      </svg>
      <p>${words}</p>`;
  }
}

customElements.define('speed-chart', SpeedChart);
