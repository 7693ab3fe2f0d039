import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import type { ComingModel } from '../work/gated-download.ts';
import type { MissedModel } from '../work/next-model.ts';
import type { Serving } from '../work/start-lending.ts';
import { controls } from './controls.ts';
import { megabytes, secondsLeft } from './format.ts';
import { joinStyles } from './join-styles.ts';
import type { LendView } from './lend-view.ts';
import './speed-chart.ts';
import type { SpeedHistory } from './speed-history.ts';
import type { TabStanding } from './tab-standing.ts';
import './work-figures.ts';

/** What a person decides here. */
export type LendAction =
  | 'start'
  | 'stop'
  | 'finish'
  | 'pause'
  | 'resume'
  | 'take-over'
  | 'look-again'
  | 'test'
  | 'drop'
  | 'keep';

/**
 * The card that says what the tab does, with the buttons that change it. Fires `lend-action` with a {@link LendAction}.
 */
export class LendState extends LitElement {
  static override properties = {
    view: { attribute: false },
    history: { attribute: false },
    standing: { attribute: false },
    servingSince: { attribute: false },
    blocker: { attribute: false },
    trouble: { attribute: false },
    canStart: { type: Boolean },
    identityKept: { type: Boolean },
    isPaused: { type: Boolean },
    givenBack: { attribute: false },
  };
  declare view: LendView;
  declare history: SpeedHistory;
  declare standing: TabStanding | null;
  declare servingSince: number | null;
  declare blocker: string | null;
  declare trouble: string | null;
  declare canStart: boolean;
  declare identityKept: boolean;
  declare isPaused: boolean;
  /** What stopping gave back, in words. */
  declare givenBack: string;

  static override styles = [
    controls,
    joinStyles,
    css`
      a.button {
        display: inline-flex;
        align-items: center;
        min-height: 44px;
        padding: 0 18px;
        border-radius: 10px;
        background: var(--accent);
        color: var(--accent-text);
        font-weight: 600;
        text-decoration: none;
      }
      .live {
        display: inline-block;
        width: 10px;
        height: 10px;
        border-radius: 50%;
        background: var(--good);
        margin-right: 8px;
      }
      .live.waiting {
        background: var(--warn);
      }
    `,
  ];

  constructor() {
    super();
    this.view = { phase: 'idle' };
    this.history = [];
    this.standing = null;
    this.servingSince = null;
    this.blocker = null;
    this.trouble = null;
    this.canStart = false;
    this.identityKept = true;
    this.isPaused = false;
    this.givenBack = '';
  }

  /** A button that was pressed and is gone takes the focus with it: the heading of what came instead gets it. */
  override updated(): void {
    const focused = this.shadowRoot?.activeElement ?? null;
    if (this.#hadFocus && focused === null) this.renderRoot.querySelector<HTMLElement>('h2')?.focus();
  }

  override willUpdate(): void {
    this.#hadFocus = (this.shadowRoot?.activeElement ?? null) !== null;
  }
  #hadFocus = false;

  override render(): TemplateResult {
    return html`<section class="card" aria-labelledby="state">${this.#content()}</section>`;
  }

  #content(): TemplateResult {
    const { view } = this;
    switch (view.phase) {
      case 'idle':
        if (this.blocker !== null) return this.#cannot(this.blocker);
        return html`${heading('Ready when you are')}
          <p role="status" class="soft">Nothing runs yet.</p>
          ${this.#startButtons('Start lending')}`;
      case 'stopped':
        return html`${heading('Stopped')}
          <p role="status" class="soft">
            Nothing runs any more, and the router knows that this tab left. <span id="given-back">${this.givenBack}</span> The download is
            kept for the next time.
          </p>
          ${this.#startButtons('Start lending')}`;
      case 'preparing':
        return this.#progress('Preparing', 'Asking the router which models it has.', null);
      case 'downloading':
        return this.#progress(
          view.halted === null ? 'Downloading the model' : 'The download waits',
          comingText(view),
          shareOf(view),
        );
      case 'shortage':
        return this.#shortage(view);
      case 'loading':
        return this.#progress('Starting the engine', `${view.model} goes into memory.`, null);
      case 'testing':
        return this.#progress(
          'Trying it out',
          'The tab answers a question whose answer is known: does this device compute rightly?',
          null,
        );
      case 'joining':
        return this.#progress(
          'Joining the network',
          `${view.model} works here. Waiting for the router’s welcome.`,
          null,
        );
      case 'serving':
        return this.#serving(view, true);
      case 'elsewhere':
        return this.#elsewhere(view);
      case 'failed':
        return html`${heading('That did not work')}
          <p role="alert" class="bad">${view.reason}</p>
          <p>${view.next}</p>
          ${this.#startButtons('Try again')}`;
    }
  }

  /** Never a dead end: what is possible instead has the place of the button. */
  #cannot(blocker: string): TemplateResult {
    return html`${heading('This browser cannot lend')}
      <p role="alert">${blocker}</p>
      <div class="row"><a class="button" href="/chat">Ask the shoal</a></div>`;
  }

  #startButtons(text: string): TemplateResult {
    return html`${this.trouble === null ? nothing : html`<p role="alert" class="bad">${this.trouble}</p>`}
      <div class="row">
        ${this.#button('start', 'start', text, '', !this.canStart)}
        ${this.trouble === null ? nothing : this.#button('again', 'look-again', 'Ask the router again', 'quiet')}
      </div>`;
  }

  #button(id: string, action: LendAction, text: string, tone = '', isDisabled = false): TemplateResult {
    return html`<button id=${id} class=${tone} ?disabled=${isDisabled} @click=${() => this.#act(action)}>${text}</button>`;
  }

  #progress(title: string, text: string, share: number | null): TemplateResult {
    return html`${heading(title)}
      ${
        share === null
          ? html`<progress aria-label=${title}></progress>`
          : html`<progress aria-label=${title} max="1" .value=${share}></progress>`
      }
      <p role="status" class="soft">${text}</p>
      ${this.#button('stop', 'stop', 'Stop', 'quiet')}`;
  }

  #shortage({ shortage }: Extract<LendView, { phase: 'shortage' }>): TemplateResult {
    const { neededBytes, freeBytes, others } = shortage;
    return html`${heading('There is no room to keep this model')}
      <p role="status">
        It needs ${megabytes(neededBytes)}, and the browser has ${megabytes(freeBytes)} left.
        ${others.length === 0 ? nothing : html`Deleting what is kept of other models makes room:`}
      </p>
      <ul>
        ${others.map(({ name, storedBytes }) => html`<li>${name ?? 'a model of an earlier visit'}, ${megabytes(storedBytes)}</li>`)}
      </ul>
      <div class="row">
        ${others.length === 0 ? nothing : this.#button('drop', 'drop', 'Delete them and keep this one')}
        ${this.#button('keep', 'keep', 'Go on without keeping it', 'quiet')} ${this.#button('stop', 'stop', 'Stop', 'quiet')}
      </div>`;
  }

  #elsewhere({ shown }: Extract<LendView, { phase: 'elsewhere' }>): TemplateResult {
    return html`${
      shown?.phase === 'serving'
        ? this.#serving(shown, false)
        : html`${heading('Another tab of this browser lends')}
            <p role="status" class="soft">One tab of a browser is enough: more would only share the same processor.</p>`
    }
    <div class="row below">${this.#button('take-over', 'take-over', 'Lend in this tab instead', '', !this.canStart)}</div>`;
  }

  #serving(serving: Serving, isOurs: boolean): TemplateResult {
    const { tab, coming, missed, because, threads, model, budget } = serving;
    const { title, isWorking } = doing(serving);
    return html`
      <h2 id="state" tabindex="-1"><span class="live ${isWorking ? '' : 'waiting'}" aria-hidden="true"></span>${title}</h2>
      ${isOurs ? nothing : html`<p>This is what another tab of this browser does.</p>`}
      <p role="status" id="why-not" class=${budget.may ? 'soft' : 'limited'}>
        ${budget.may ? nothing : html`${budget.because}${until(budget.until)}`}
      </p>
      ${isOurs ? this.#buttons(serving) : nothing}
      <p class="soft below">${model}, ${threads === 1 ? 'one thread' : `${threads} threads`}. ${because}</p>
      ${
        coming === null
          ? nothing
          : html`<progress aria-label="Downloading another model" max="1" .value=${shareOf(coming)}></progress>
              <p class="soft">Beside the work: ${comingText(coming)}</p>`
      }
      ${missed === null ? nothing : html`<p class="soft" id="missed">${missedText(missed)}</p>`}
      <speed-chart .history=${this.history}></speed-chart>
      <work-figures .serving=${serving} .servingSince=${this.servingSince}></work-figures>
      ${this.#standing()}
      <details>
        <summary>This tab’s name on the network</summary>
        <code>${tab.tab ?? 'not connected'}</code>
        ${this.identityKept ? nothing : html`<p class="soft">This browser keeps nothing, so the name lasts as long as the page.</p>`}
      </details>
    `;
  }

  #buttons({ aside }: Serving): TemplateResult {
    const isFinishing = aside === 'finishing';
    return html`<div class="row below">
      ${this.isPaused ? this.#button('pause', 'resume', 'Go on', '', isFinishing) : this.#button('pause', 'pause', 'Pause', 'quiet', isFinishing)}
      ${this.#button('finish', 'finish', isFinishing ? 'Finishing…' : 'Finish and stop', 'quiet', isFinishing)}
      ${this.#button('stop', 'stop', 'Stop now')}
      ${this.#button('test', 'test', 'Test this device', 'quiet', aside !== null)}
    </div>`;
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

  #act(action: LendAction): void {
    this.dispatchEvent(new CustomEvent<LendAction>('lend-action', { detail: action }));
  }
}

const STANDING_TONE: Readonly<Record<string, string>> = {
  trusted: 'good',
  suspected: 'limited',
  quarantined: 'bad',
  banned: 'bad',
};

function heading(text: string): TemplateResult {
  return html`<h2 id="state" tabindex="-1">${text}</h2>`;
}

function doing({ tab, aside, budget }: Serving): { readonly title: string; readonly isWorking: boolean } {
  const waiting = (title: string) => ({ title, isWorking: false });
  if (!budget.may && budget.rule === 'offline') return waiting('Offline');
  if (tab.connection.state !== 'open' || tab.tab === null)
    return waiting('Connection lost: connecting to the router again');
  if (aside === 'finishing') return waiting('Finishing what runs, then it stops');
  if (tab.engineFailure !== null) return waiting('Starting the engine again');
  if (tab.working === 'answer') return { title: 'Writing an answer', isWorking: true };
  if (tab.working === 'check') return { title: 'Checking another tab’s answer', isWorking: true };
  if (aside === 'testing') return waiting('Testing this device');
  if (aside === 'changing') return waiting('Changing over to another model');
  if (!budget.may)
    return waiting(
      budget.rule === 'paused' ? 'Paused' : budget.rule === 'share' ? 'Resting a moment' : 'Not working now',
    );
  return { title: 'Ready: waiting for work', isWorking: true };
}

/** A far instant is worth naming; one in a moment is not. */
function until(at: number | null): string {
  return at === null || at - Date.now() < 60_000
    ? ''
    : ` Until ${new Date(at).toLocaleTimeString([], { timeStyle: 'short' })}.`;
}

function shareOf({ progress: { loadedBytes, totalBytes } }: ComingModel): number {
  return totalBytes === 0 ? 0 : loadedBytes / totalBytes;
}

function missedText({ model, reason, againAt }: MissedModel): string {
  const again =
    againAt === null
      ? 'It is not tried again while this page is open.'
      : `It is not tried again before ${new Date(againAt).toLocaleTimeString([], { timeStyle: 'short' })}.`;
  return `${model} did not take over: ${reason} ${again}`;
}

function comingText({ model, progress, halted }: ComingModel): string {
  const { loadedBytes, totalBytes, fromStoreBytes, bytesPerSecond, keeping } = progress;
  if (halted !== null) return `${model} waits at ${megabytes(loadedBytes)} of ${megabytes(totalBytes)}: ${halted}`;
  const left = secondsLeft(totalBytes - loadedBytes, bytesPerSecond);
  const rate = bytesPerSecond > 0 ? `${megabytes(bytesPerSecond)}/s, ${left}` : left;
  const kept = fromStoreBytes > 0 ? `, ${megabytes(fromStoreBytes)} of it kept from last time` : '';
  const note = keeping === 'kept' ? '' : ' It is not kept in this browser: the next visit fetches it again.';
  return `${model}: ${megabytes(loadedBytes)} of ${megabytes(totalBytes)} (${rate}${kept}).${note}`;
}

customElements.define('lend-state', LendState);
