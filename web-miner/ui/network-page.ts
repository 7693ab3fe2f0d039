import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { controls } from './controls.ts';
import { evenPoints, type Span, type Step } from './even-points.ts';
import { megabytes, speed } from './format.ts';
import type { ChartSeries } from './history-chart.ts';
import './history-chart.ts';
import {
  fetchNetworkFigures,
  fetchNetworkHistory,
  type HistoryPoint,
  type NetworkFigures,
  type NetworkHistory,
  type Totals,
} from './network-figures.ts';
import { GRADE_WORDS, SURE_WORDS } from './network-words.ts';
import './recent-receipts.ts';

/** How often the page asks while it is looked at, ms: as often as the router looks itself. */
const LIVE_EVERY_MS = 5_000;
const HISTORY_EVERY_MS = 60_000;

/** The one stateful element of `/network`: what is there now, what was said of answers, and how it was before. */
export class NetworkPage extends LitElement {
  static override properties = {
    figures: { state: true },
    history: { state: true },
    trouble: { state: true },
    span: { state: true },
  };
  declare figures: NetworkFigures | null;
  declare history: NetworkHistory | null;
  declare trouble: string | null;
  declare span: Span;

  #timer: ReturnType<typeof setInterval> | null = null;
  #historyAskedAt = 0;
  readonly #onSeen = () => {
    if (document.visibilityState === 'visible') void this.#look();
  };

  static override styles = [
    controls,
    css`
      .bad { color: var(--bad); font-weight: 600; }
      .charts { display: grid; gap: var(--gap); grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); }
      .charts > * { min-width: 0; }
      .pair { display: grid; gap: var(--gap); grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); }
      dl { margin-bottom: var(--gap); }
      button[aria-pressed='true'] { background: var(--accent); color: var(--accent-text); }
      .row { margin-bottom: 12px; }
      p:last-child { margin-bottom: 0; }
      .scroll th { white-space: nowrap; }
    `,
  ];

  constructor() {
    super();
    this.figures = null;
    this.history = null;
    this.trouble = null;
    this.span = 'minutes';
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#look();
    this.#timer = setInterval(this.#onSeen, LIVE_EVERY_MS);
    document.addEventListener('visibilitychange', this.#onSeen);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    if (this.#timer !== null) clearInterval(this.#timer);
    document.removeEventListener('visibilitychange', this.#onSeen);
  }

  async #look(): Promise<void> {
    try {
      this.figures = await fetchNetworkFigures();
      if (Date.now() - this.#historyAskedAt >= HISTORY_EVERY_MS) {
        this.history = await fetchNetworkHistory();
        this.#historyAskedAt = Date.now();
      }
      this.trouble = null;
    } catch (cause) {
      this.trouble = cause instanceof Error ? cause.message : String(cause);
    }
  }

  override render(): TemplateResult {
    const { figures } = this;
    return html`
      <h1>The network</h1>
      <p class="soft">
        What everybody may see of it: no tab by name, nobody who asks, nothing of what is asked. Any of this is also at
        <a href="/v1/network">/v1/network</a> and <a href="/v1/network/history">/v1/network/history</a>.
      </p>
      ${this.trouble === null ? nothing : html`<p role="alert" class="bad">${this.trouble}</p>`}
      ${figures === null ? html`<p role="status">${this.trouble === null ? 'Asking the router.' : ''}</p>` : this.#all(figures)}
    `;
  }

  #all(figures: NetworkFigures): TemplateResult {
    return html`
      <dl aria-label="At the moment">
        <div><dt>Tabs</dt><dd>${figures.tabs}</dd></div>
        <div><dt>Free now</dt><dd>${figures.free_tabs}</dd></div>
        <div><dt>On networks</dt><dd>${figures.networks}</dd></div>
        <div><dt>Tokens per second</dt><dd>${figures.tokens_per_second === 0 ? '–' : speed(figures.tokens_per_second)}</dd></div>
        <div><dt>In line</dt><dd>${figures.waiting}</dd></div>
      </dl>
      ${figures.tabs === 0 ? this.#nobody() : nothing} ${this.#models(figures)} ${this.#verdicts(figures)} ${this.#charts()}
      ${this.#recent(figures)}
    `;
  }

  #nobody(): TemplateResult {
    return html`<section class="card" aria-labelledby="nobody">
      <h2 id="nobody">No tab is here yet</h2>
      <p>
        Nothing can be answered until somebody lends a tab. <a href="/join">Lend this one</a>: it takes one button, no account, and ends when you close it. With a second tab of the
        same model, answers are checked, too.
      </p>
    </section>`;
  }

  #models({ models }: NetworkFigures): TemplateResult {
    const tokens = models[0]?.for_tokens ?? 0;
    return html`<section class="card" aria-labelledby="models">
      <h2 id="models">Models</h2>
      <p id="speeds" class="soft">
        Tabs by how fast they write, as the router measured them: slow below 5 tokens per second, steady below 20, fast from there; new ones were not measured yet. The wait
        is for an answer of ${tokens} tokens.
      </p>
      <div class="scroll" tabindex="0" role="group" aria-label="Models, as a table">
        <table aria-describedby="speeds">
          <thead>
            <tr>
              <th scope="col">Model</th>
              <th scope="col" class="number">Tabs</th>
              <th scope="col" class="number">Free</th>
              <th scope="col" class="number">Check only</th>
              <th scope="col" class="number">Fast</th>
              <th scope="col" class="number">Steady</th>
              <th scope="col" class="number">Slow</th>
              <th scope="col" class="number">New</th>
              <th scope="col" class="number">Tokens/s</th>
              <th scope="col" class="number">In line</th>
              <th scope="col" class="number">Wait</th>
            </tr>
          </thead>
          <tbody>
            ${models.map(
              (model) => html`<tr>
                <th scope="row">${model.id}</th>
                <td class="number">${model.tabs}</td>
                <td class="number">${model.free_tabs}</td>
                <td class="number">${model.check_only_tabs}</td>
                <td class="number">${model.speeds.fast}</td>
                <td class="number">${model.speeds.steady}</td>
                <td class="number">${model.speeds.slow}</td>
                <td class="number">${model.speeds.unmeasured}</td>
                <td class="number">${model.tokens_per_second === 0 ? '–' : speed(model.tokens_per_second)}</td>
                <td class="number">${model.waiting}</td>
                <td class="number">${waitOf(model)}</td>
              </tr>`,
            )}
          </tbody>
        </table>
      </div>
    </section>`;
  }

  #verdicts({ last_hour: hour, last_day: day }: NetworkFigures): TemplateResult {
    const row = (name: string, figure: (totals: Totals) => string | number) => html`<tr>
      <th scope="row">${name}</th>
      <td class="number">${figure(hour)}</td>
      <td class="number">${figure(day)}</td>
    </tr>`;
    const head = (what: string) => html`<thead>
      <tr><th scope="col">${what}</th><th scope="col" class="number">Hour</th><th scope="col" class="number">Day</th></tr>
    </thead>`;
    return html`<div class="pair">
      <section class="card" aria-labelledby="verdicts">
        <h2 id="verdicts">What was said of answers</h2>
        <table>
          ${head('Verdict')}
          <tbody>
            ${(['verified', 'likely', 'unverified', 'disputed', 'refuted'] as const).map((sure) => row(SURE_WORDS[sure].word, (totals) => totals.sure[sure]))}
            ${row('no answer', (totals) => totals.unanswered)}
          </tbody>
        </table>
      </section>
      <section class="card" aria-labelledby="apart">
        <h2 id="apart">How far apart, and by which way</h2>
        <table>
          ${head('Checked by a tab with')}
          <tbody>
            ${(['network', 'owner', 'key'] as const).map((grade) => row(GRADE_WORDS[grade].word, (totals) => totals.independence[grade]))}
            ${row('answers by relay', (totals) => megabytes(totals.relay_bytes))}
            ${row('answers by direct link', (totals) => megabytes(totals.direct_bytes))}
            ${row('tokens written', (totals) => totals.tokens)}
          </tbody>
        </table>
      </section>
    </div>`;
  }

  #charts(): TemplateResult | typeof nothing {
    const points = evenPoints(this.history?.[this.span] ?? [], this.span, Date.now());
    const isEmpty = points.every(({ point }) => point === null);
    const choice = (span: Span, words: string) =>
      html`<button class="quiet small" aria-pressed=${this.span === span} @click=${() => this.#choose(span)}>${words}</button>`;
    const times = points.map(({ at }) => at);
    return html`<section class="card" aria-labelledby="before">
      <h2 id="before">How it was</h2>
      <div class="row" role="group" aria-label="Time that is shown">${choice('minutes', 'Two hours')} ${choice('hours', 'A week')}</div>
      ${
        isEmpty
          ? html`<p>Nothing was seen in this time: figures come with the first tab.</p>`
          : html`<div class="charts">
              <history-chart heading="Tabs and line" .times=${times} .series=${tabLines(points)}></history-chart>
              <history-chart heading=${this.span === 'minutes' ? 'Answers a minute' : 'Answers an hour'} .times=${times} .series=${answerLines(points)}></history-chart>
            </div>`
      }
    </section>`;
  }

  #recent({ recent }: NetworkFigures): TemplateResult {
    return html`<section class="card" aria-labelledby="recent">
      <h2 id="recent">Recent receipts</h2>
      <p class="soft">
        Each task ends with a receipt that the router signs. Here it is named by its entry in the public log: who has the receipt finds it again, and nobody else learns who asked or what.
      </p>
      ${
        recent.length === 0
          ? html`<p>There is none yet. <a href="/chat">Ask something</a>, and it appears here a few seconds after its check.</p>`
          : html`<recent-receipts .tasks=${recent}></recent-receipts>`
      }
    </section>`;
  }

  #choose(span: Span): void {
    this.span = span;
  }
}

function waitOf(model: NetworkFigures['models'][number]): string {
  const { expected_wait_ms: wait } = model;
  if (model.tabs === 0) return 'no tab';
  if (wait === null) return 'not known';
  return wait === 0 ? 'none' : `${Math.max(1, Math.round(wait / 1000))} s`;
}

type Points = readonly Step<HistoryPoint>[];

function tabLines(points: Points): readonly ChartSeries[] {
  return [
    { label: 'Tabs', colour: '--accent', values: points.map(({ point }) => point?.tabs ?? null) },
    { label: 'Free', colour: '--good', values: points.map(({ point }) => point?.free_tabs ?? null) },
    { label: 'In line', colour: '--warn', values: points.map(({ point }) => point?.waiting ?? null) },
  ];
}

function answerLines(points: Points): readonly ChartSeries[] {
  const counted = (figure: (point: HistoryPoint) => number) =>
    points.map(({ point, isRunning }) => (point === null || isRunning ? null : figure(point)));
  return [
    { label: 'Answers', colour: '--accent', values: counted(({ answers }) => answers) },
    { label: 'Verified', colour: '--good', values: counted(({ sure }) => sure.verified) },
    { label: 'Wrong', colour: '--bad', values: counted(({ sure }) => sure.refuted) },
  ];
}

customElements.define('network-page', NetworkPage);

declare global {
  interface HTMLElementTagNameMap {
    'network-page': NetworkPage;
  }
}
