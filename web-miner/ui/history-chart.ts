import { css, html, LitElement, type PropertyValues, type TemplateResult, unsafeCSS } from 'lit';
import type uPlot from 'uplot';
import chartStyles from 'uplot/dist/uPlot.min.css?inline';
import { controls } from './controls.ts';
import { loadChart } from './load-chart.ts';

/** One line of a chart. */
export interface ChartSeries {
  readonly label: string;
  /** A token's name, as in `--accent`. */
  readonly colour: string;
  /** One for each instant; null where nobody looked. */
  readonly values: readonly (number | null)[];
}

const HEIGHT = 180;

/** A chart of figures over time, and the same as a table for whoever does not see it. The drawing is loaded when there is something to draw. */
export class HistoryChart extends LitElement {
  static override properties = {
    heading: {},
    times: { attribute: false },
    series: { attribute: false },
    isUndrawn: { state: true },
  };
  declare heading: string;
  /** Epoch ms, the oldest first. */
  declare times: readonly number[];
  declare series: readonly ChartSeries[];
  /** The drawing did not come: the table is opened in its place. */
  declare isUndrawn: boolean;

  #plot: uPlot | null = null;
  #drawing = Promise.resolve();
  /** A drawing does not follow the theme by itself. */
  readonly #recolour = () => this.#plot?.redraw(false);
  readonly #themed = new MutationObserver(this.#recolour);
  readonly #system = matchMedia('(prefers-color-scheme: dark)');
  readonly #resized = new ResizeObserver(() => {
    this.#plot?.setSize({ width: this.#width, height: HEIGHT });
  });

  static override styles = [
    controls,
    unsafeCSS(chartStyles),
    css`
      .plot { min-height: ${HEIGHT}px; margin: 8px 0; }
      .u-legend { color: var(--soft); font-size: 0.85rem; }
      .u-legend th, .u-legend td { border: 0; padding: 2px 4px; }
      .uplot, .u-wrap { max-width: 100%; }
      figure { margin: 0; }
      details { font-size: 0.9rem; }
      .scroll { max-height: 320px; overflow: auto; }
    `,
  ];

  constructor() {
    super();
    this.heading = '';
    this.times = [];
    this.series = [];
    this.isUndrawn = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#themed.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    this.#system.addEventListener('change', this.#recolour);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#themed.disconnect();
    this.#system.removeEventListener('change', this.#recolour);
    this.#resized.disconnect();
    this.#plot?.destroy();
    this.#plot = null;
  }

  override render(): TemplateResult {
    const { heading, times, series } = this;
    return html`<figure>
      <h3>${heading}</h3>
      <div class="plot" aria-hidden="true" ?hidden=${this.isUndrawn}></div>
      <details ?open=${this.isUndrawn}>
        <summary>The same as a table</summary>
        <div class="scroll" tabindex="0" role="group" aria-label=${`${heading}, as a table`}>
          <table>
            <caption>${heading}, the newest first</caption>
            <thead>
              <tr><th scope="col">Time</th>${series.map(({ label }) => html`<th scope="col" class="number">${label}</th>`)}</tr>
            </thead>
            <tbody>
              ${this.#seen()
                .map(
                  (index) => html`<tr>
                    <th scope="row">${new Date(times[index] ?? 0).toLocaleString([], { dateStyle: 'short', timeStyle: 'short' })}</th>
                    ${series.map(({ values }) => html`<td class="number">${values[index] ?? '–'}</td>`)}
                  </tr>`,
                )
                .toReversed()}
            </tbody>
          </table>
        </div>
      </details>
    </figure>`;
  }

  /** Instants of which something is known. */
  #seen(): readonly number[] {
    return this.times.flatMap((_, index) => (this.series.some(({ values }) => values[index] != null) ? [index] : []));
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (!changed.has('times') && !changed.has('series')) return;
    this.#drawing = this.#drawing
      .then(() => this.#draw())
      .catch(() => {
        this.isUndrawn = true;
      });
  }

  get #place(): HTMLElement | null {
    return this.renderRoot.querySelector('.plot');
  }

  get #width(): number {
    return Math.max(200, Math.floor(this.#place?.clientWidth ?? 0));
  }

  async #draw(): Promise<void> {
    const { times, series } = this;
    if (times.length === 0) return;
    const Plot = await loadChart();
    const place = this.#place;
    if (place === null || !this.isConnected) return;
    const data: uPlot.AlignedData = [times.map((at) => at / 1000), ...series.map(({ values }) => [...values])];
    if (this.#plot !== null) {
      this.#plot.setData(data);
      return;
    }
    const colour = (name: string) => () => getComputedStyle(this).getPropertyValue(name).trim();
    const axis: uPlot.Axis = {
      stroke: colour('--soft'),
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { stroke: colour('--line'), width: 1 },
    };
    this.#plot = new Plot(
      {
        width: this.#width,
        height: HEIGHT,
        scales: { y: { range: (_, _min, max) => [0, Math.max(1, (max ?? 0) * 1.1)] } },
        axes: [axis, { ...axis, size: 56 }],
        cursor: { drag: { x: false, y: false } },
        legend: { live: false },
        series: [
          {},
          ...series.map(({ label, colour: name }, index) => ({
            label,
            stroke: colour(name),
            width: 2,
            spanGaps: false,
            // A line needs two: what stands alone between gaps would not be seen.
            points: { size: 5, show: true, filter: () => alone(this.series[index]?.values ?? []) },
          })),
        ],
      },
      data,
      place,
    );
    this.#resized.observe(place);
  }
}

/** Places of values that have none beside them. */
function alone(values: ChartSeries['values']): number[] {
  return values.flatMap((value, i) => (value !== null && values[i - 1] == null && values[i + 1] == null ? [i] : []));
}

customElements.define('history-chart', HistoryChart);
