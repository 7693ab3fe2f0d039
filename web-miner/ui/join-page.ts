import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { type Preflight, preflight } from '../preflight/preflight.ts';
import { LendingWorker } from '../work/lending-worker.ts';
import type { LendingPhase } from '../work/start-lending.ts';
import { controls } from './controls.ts';
import { keepDirectChoice, keptDirectChoice } from './direct-choice.ts';
import { megabytes, secondsLeft, speed } from './format.ts';
import { fetchModels, type ListedModel } from './model-list.ts';
import { fetchStanding, type TabStanding } from './tab-standing.ts';

/** The one stateful element of `/join`: a visitor lends the tab, sees what it does, and stops it. */
export class JoinPage extends LitElement {
  static override properties = {
    phase: { state: true },
    device: { state: true },
    models: { state: true },
    chosen: { state: true },
    direct: { state: true },
    checkOnly: { state: true },
    trouble: { state: true },
    identityKept: { state: true },
    standing: { state: true },
  };
  declare phase: LendingPhase | { readonly phase: 'idle' };
  declare device: Preflight | null;
  declare models: readonly ListedModel[];
  declare chosen: string;
  declare direct: boolean;
  declare checkOnly: boolean;
  declare trouble: string | null;
  declare identityKept: boolean;
  declare standing: TabStanding | null;

  readonly #worker = new LendingWorker((phase, kept) => {
    this.phase = phase;
    this.identityKept = kept;
    if (phase.phase === 'serving') this.#lookHowItStands(phase.tab);
  });
  /** Work that was done when the network was last asked how this tab stands. */
  #doneAtLook = -1;
  #looksSoon = false;

  static override styles = [
    controls,
    css`
      .promise {
        font-size: 1.05rem;
        padding: 14px 16px;
        border-left: 4px solid var(--accent);
        background: var(--accent-soft);
        border-radius: 0 10px 10px 0;
      }
      .row {
        display: flex;
        flex-wrap: wrap;
        gap: 12px;
        align-items: center;
      }
      .findings {
        list-style: none;
        margin: 0;
        padding: 0;
      }
      .findings li {
        display: grid;
        grid-template-columns: 7.5rem 1fr;
        gap: 8px;
        padding: 4px 0;
      }
      .good { color: var(--good); }
      .limited { color: var(--warn); }
      .missing, .bad { color: var(--bad); }
      .live {
        display: inline-block;
        width: 10px;
        height: 10px;
        border-radius: 50%;
        background: var(--good);
        margin-right: 8px;
      }
      .live.waiting { background: var(--warn); }
      code { font-family: var(--mono); font-size: 0.85rem; overflow-wrap: anywhere; }
      details { margin-top: 12px; }
      .below { margin-top: 14px; }
      summary { cursor: pointer; min-height: 28px; }
    `,
  ];

  constructor() {
    super();
    this.phase = { phase: 'idle' };
    this.device = null;
    this.models = [];
    this.chosen = '';
    this.direct = keptDirectChoice();
    this.checkOnly = false;
    this.trouble = null;
    this.identityKept = true;
    this.standing = null;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#look();
  }

  /** Bytes over direct links; for the demo and for people who look. */
  linkTraffic(): ReturnType<LendingWorker['traffic']> {
    return this.#worker.traffic();
  }

  async #look(): Promise<void> {
    this.device = await preflight();
    try {
      this.models = await fetchModels('chat', 'embed');
      this.chosen ||= this.#askedFor() ?? this.#names()[0] ?? '';
      this.trouble = null;
    } catch (cause) {
      this.trouble = cause instanceof Error ? cause.message : String(cause);
    }
  }

  /** Asked again after work was done, when the network had time to judge it. */
  #lookHowItStands({ tab, counts }: Extract<LendingPhase, { phase: 'serving' }>['tab']): void {
    const done = counts.answers + counts.checks;
    if (tab === null || done === this.#doneAtLook) return;
    this.#doneAtLook = done;
    if (this.#looksSoon) return;
    this.#looksSoon = true;
    setTimeout(() => {
      this.#looksSoon = false;
      void fetchStanding(tab).then((standing) => (this.standing = standing));
    }, JUDGED_AFTER_MS);
  }

  /** `/join#model=…`; null when the router has no such model. */
  #askedFor(): string | null {
    const asked = new URLSearchParams(location.hash.slice(1)).get('model');
    return this.#names().find((name) => name === asked || name.split(':')[0] === asked) ?? null;
  }

  /** Whether the chosen model embeds: its tab is never asked for a chat. */
  get #embedsOnly(): boolean {
    const model = this.models.find(({ id }) => id === this.chosen.split(':')[0]);
    return model !== undefined && !model.shoal.capabilities.includes('chat');
  }

  #names(): string[] {
    return this.models.flatMap((model) => model.shoal.variants.map((variant) => `${model.id}:${variant.id}`));
  }

  #bytesOf(name: string): number {
    const [id, variant] = name.split(':');
    return this.models.find((model) => model.id === id)?.shoal.variants.find((v) => v.id === variant)?.bytes ?? 0;
  }

  override render(): TemplateResult {
    return html`
      <h1>Lend this tab to the shoal</h1>
      <p class="promise">
        No cryptocurrency. While this page is open, the tab runs a language model on your processor and answers or checks other people’s
        prompts, and test questions of the network. It downloads ${this.chosen === '' ? 'a model' : `a model of ${megabytes(this.#bytesOf(this.chosen))}`} and an engine of 9 MB once. Press Stop or close the tab, and
        it ends at once.
      </p>
      ${this.#panel()} ${this.#settings()} ${this.#deviceCard()} ${this.#readers()}
    `;
  }

  #panel(): TemplateResult {
    const { phase } = this;
    switch (phase.phase) {
      case 'idle':
      case 'stopped':
        return html`<section class="card" aria-labelledby="state">
          <h2 id="state">${phase.phase === 'idle' ? 'Ready when you are' : 'Stopped'}</h2>
          <p role="status" class="soft">
            ${
              phase.phase === 'idle'
                ? 'Nothing runs yet.'
                : 'Nothing runs any more: the model was unloaded, and the router knows that this tab left. The download is kept for the next time.'
            }
          </p>
          ${this.#startButton('Start lending')}
        </section>`;
      case 'preparing':
        return this.#progress('Preparing', 'Asking the router which models it has.', null);
      case 'downloading': {
        const { loadedBytes, totalBytes, fromStoreBytes } = phase.progress;
        const left = secondsLeft(totalBytes - loadedBytes, phase.bytesPerSecond);
        const rate = phase.bytesPerSecond > 0 ? `${megabytes(phase.bytesPerSecond)}/s, ${left}` : left;
        const kept = fromStoreBytes > 0 ? `, ${megabytes(fromStoreBytes)} of it kept from last time` : '';
        const text = `${phase.model}: ${megabytes(loadedBytes)} of ${megabytes(totalBytes)} (${rate}${kept})`;
        return this.#progress('Downloading the model', text, totalBytes === 0 ? 0 : loadedBytes / totalBytes);
      }
      case 'loading':
        return this.#progress('Starting the engine', `${phase.model} goes into memory.`, null);
      case 'testing':
        return this.#progress('Trying it out', 'The tab writes a few words to see that it works, and how fast.', null);
      case 'serving':
        return this.#serving(phase);
      case 'failed':
        return html`<section class="card" aria-labelledby="state">
          <h2 id="state">That did not work</h2>
          <p role="alert" class="bad">${phase.reason}</p>
          <p>${phase.next}</p>
          ${this.#startButton('Try again')}
        </section>`;
    }
  }

  #startButton(text: string): TemplateResult {
    const blocker = this.device?.blocker ?? null;
    return html`${blocker === null ? nothing : html`<p role="alert" class="bad">${blocker}</p>`}
      ${this.trouble === null ? nothing : html`<p role="alert" class="bad">${this.trouble}</p>`}
      <div class="row">
        <button id="start" ?disabled=${blocker !== null || this.chosen === ''} @click=${this.#start}>${text}</button>
        ${
          this.trouble === null
            ? nothing
            : html`<button class="quiet" @click=${() => void this.#look()}>Ask the router again</button>`
        }
      </div>`;
  }

  #progress(title: string, text: string, share: number | null): TemplateResult {
    return html`<section class="card" aria-labelledby="state">
      <h2 id="state">${title}</h2>
      ${
        share === null
          ? html`<progress aria-label=${title}></progress>`
          : html`<progress aria-label=${title} max="1" .value=${share}></progress>`
      }
      <p role="status" class="soft">${text}</p>
      <button id="stop" class="quiet" @click=${this.#stop}>Stop</button>
    </section>`;
  }

  #serving(phase: Extract<LendingPhase, { phase: 'serving' }>): TemplateResult {
    const { tab } = phase;
    const connected = tab.connection.state === 'open' && tab.tab !== null;
    const doing = !connected
      ? 'Connection lost: connecting to the router again'
      : tab.engineFailure !== null
        ? 'Starting the engine again'
        : tab.working === null
          ? 'Ready: waiting for work'
          : tab.working === 'answer'
            ? this.#embedsOnly
              ? 'Embedding texts'
              : 'Writing an answer'
            : 'Checking another tab’s answer';
    return html`<section class="card" aria-labelledby="state">
      <h2 id="state"><span class="live ${connected ? '' : 'waiting'}" aria-hidden="true"></span>${doing}</h2>
      <p class="soft">${phase.model}, ${phase.threads === 1 ? 'one thread' : `${phase.threads} threads`}.</p>
      <dl>
        <div><dt>Tokens per second</dt><dd id="speed">${speed(tab.tokensPerSecond)}</dd></div>
        <div><dt>Answers given</dt><dd id="answers">${tab.counts.answers}</dd></div>
        <div><dt>Checks made</dt><dd id="checks">${tab.counts.checks}</dd></div>
        <div><dt>Answers found right</dt><dd>${tab.counts.valid}</dd></div>
        <div><dt>Answers found wrong</dt><dd>${tab.counts.invalid}</dd></div>
        <div><dt>Answers in dispute</dt><dd>${tab.counts.disputed}</dd></div>
        <div><dt>Tokens written</dt><dd>${tab.counts.tokens}</dd></div>
        <div><dt>Stopped by asker</dt><dd id="stopped">${tab.counts.stopped}</dd></div>
        <div><dt>Direct links</dt><dd>${tab.links}</dd></div>
      </dl>
      ${this.#standing()}
      <button id="stop" class="below" @click=${this.#stop}>Stop lending</button>
      <details>
        <summary>This tab’s name on the network</summary>
        <code>${tab.tab ?? 'not connected'}</code>
        ${this.identityKept ? nothing : html`<p class="soft">This browser keeps nothing, so the name lasts as long as the page.</p>`}
      </details>
    </section>`;
  }

  #standing(): TemplateResult | typeof nothing {
    if (this.standing === null) return nothing;
    const { standing, text, next, waitsUntil } = this.standing;
    const wait = waitsUntil === null ? nothing : html` It waits until ${new Date(waitsUntil).toLocaleString()}.`;
    return html`<p class="below" id="standing">
      How the network sees this tab: <strong class=${STANDING_TONE[standing] ?? ''}>${standing}</strong>. ${text}${wait}
      <span class="soft">What to do: ${next}</span>
    </p>`;
  }

  #settings(): TemplateResult {
    const idle = this.phase.phase === 'idle' || this.phase.phase === 'stopped' || this.phase.phase === 'failed';
    return html`<section class="card" aria-labelledby="settings">
      <h2 id="settings">Settings</h2>
      <label for="model">Model</label>
      <select id="model" ?disabled=${!idle} @change=${this.#choose}>
        ${this.#names().map(
          (name) =>
            html`<option value=${name} ?selected=${name === this.chosen}>${name} (${megabytes(this.#bytesOf(name))})</option>`,
        )}
      </select>
      ${this.#licence()}
      <label class="check">
        <input id="direct" type="checkbox" .checked=${this.direct} @change=${this.#setDirect} />
        <span
          >Allow direct links. Answers then go straight to whoever asked, without a detour over the router. The other side can see this
          device’s network address, and this tab sees theirs.</span
        >
      </label>
      <label class="check">
        <input id="check-only" type="checkbox" ?disabled=${!idle} .checked=${this.checkOnly} @change=${this.#setCheckOnly} />
        <span>Only check other tabs’ answers. Nobody waits for a check, so a slow device is as welcome as a fast one.</span>
      </label>
    </section>`;
  }

  #licence(): TemplateResult | typeof nothing {
    const model = this.models.find(({ id }) => id === this.chosen.split(':')[0]);
    if (model === undefined) return nothing;
    return html`${
      this.#embedsOnly
        ? html`<p class="below" id="role"><strong>Embed only.</strong> This tab turns texts into numbers, for search. It is never asked for a chat, so a small device is enough.</p>`
        : nothing
    }
      <p class="soft below">${model.shoal.description} Licence: ${model.shoal.licence.id}.</p>`;
  }

  #deviceCard(): TemplateResult {
    return html`<section class="card" aria-labelledby="device">
      <h2 id="device">This device</h2>
      ${
        this.device === null
          ? html`<p class="soft">Looking…</p>`
          : html`<ul class="findings">
              ${this.device.findings.map(
                ({ name, verdict, text }) =>
                  html`<li><strong class=${verdict}>${name}</strong><span>${text}</span></li>`,
              )}
            </ul>`
      }
    </section>`;
  }

  #readers(): TemplateResult {
    return html`<section class="card" aria-labelledby="who">
      <h2 id="who">Who reads what</h2>
      <p>
        Your tab can read the prompts that it answers and checks; they arrive sealed to it and are gone when it is done. It reads nothing of
        yours: no files, no history, no other page.
      </p>
      <p class="soft">Strangers write the prompts. The model answers them as it would answer anybody; nothing of it is published under your name.</p>
    </section>`;
  }

  #start(): void {
    this.#worker.start(this.chosen, { direct: this.direct, checkOnly: this.checkOnly });
  }

  #stop(): void {
    this.#worker.stop();
  }

  #choose(event: Event): void {
    this.chosen = (event.target as HTMLSelectElement).value;
  }

  #setCheckOnly(event: Event): void {
    this.checkOnly = (event.target as HTMLInputElement).checked;
  }

  #setDirect(event: Event): void {
    this.direct = (event.target as HTMLInputElement).checked;
    this.#worker.setDirect(this.direct); // First: a browser that keeps nothing must not keep the links open either.
    keepDirectChoice(this.direct);
  }
}

/** Time after a piece of work in which its check is over as a rule, ms. */
const JUDGED_AFTER_MS = 2_500;

const STANDING_TONE: Readonly<Record<string, string>> = {
  trusted: 'good',
  suspected: 'limited',
  quarantined: 'bad',
  banned: 'bad',
};

customElements.define('join-page', JoinPage);

declare global {
  interface HTMLElementTagNameMap {
    'join-page': JoinPage;
  }
}
