import { html, LitElement, nothing, type TemplateResult } from 'lit';
import { ShoalError } from '../../shared/errors.ts';
import { MAX_CODE } from '../../shared/protocol/tab-owner-api.ts';
import { keptIdentity, loadIdentity } from '../identity/identity-store.ts';
import { type OfferedPairing, type TabOwner, TabOwnerCalls } from '../work/tab-owner.ts';
import { controls } from './controls.ts';
import { credits } from './format.ts';
import { joinStyles } from './join-styles.ts';

/** What is agreed to is what was shown: the code goes with the name that it stands for. */
interface Offer extends OfferedPairing {
  readonly code: string;
}

/** What the tabs of this browser earned, and for whom they do: asked of the router by itself, at first and whenever `done` grows. */
export class OwnerCard extends LitElement {
  static override properties = {
    done: { type: Number },
    told: { state: true },
    offered: { state: true },
    code: { state: true },
    trouble: { state: true },
    isBusy: { state: true },
    isUnsaid: { state: true },
  };
  /** Answers and checks that this tab has done. */
  declare done: number;
  /** Null: nothing was told yet. */
  declare told: TabOwner | null;
  /** Who asks to pair, and by which code, until the visitor has decided. */
  declare offered: Offer | null;
  declare code: string;
  declare trouble: string;
  declare isBusy: boolean;
  /** The router was asked, and has not answered yet. */
  declare isUnsaid: boolean;

  static override styles = [controls, joinStyles];

  #calls: TabOwnerCalls | null = null;
  #later: ReturnType<typeof setTimeout> | undefined;
  #gone = new AbortController();

  constructor() {
    super();
    this.done = 0;
    this.told = null;
    this.offered = null;
    this.code = '';
    this.trouble = '';
    this.isBusy = false;
    this.isUnsaid = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#gone = new AbortController();
    const { signal } = this.#gone;
    // A link that is opened where this page is already open loads nothing anew.
    addEventListener('hashchange', () => this.#asked(), { signal });
    // Another tab of this browser may have paired: they are one tab to the network.
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && void this.#look(), {
      signal,
    });
    void this.#look();
    this.#asked();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#gone.abort();
    clearTimeout(this.#later);
  }

  override willUpdate(changed: Map<string, unknown>): void {
    if (!changed.has('done') || this.done === 0) return;
    clearTimeout(this.#later);
    this.#later = setTimeout(() => void this.#look(), PAID_AFTER_MS);
  }

  override render(): TemplateResult {
    return html`<section class="card" aria-labelledby="earns">
      <h2 id="earns" tabindex="-1">What this tab earns</h2>
      ${this.#figures()}
      <p class="soft">
        Each answer and each check is paid in credits of this network. They buy work from it and nothing else: they are no currency. About half is held back until
        the network trusts this tab; a tab that is found to lie loses what is held back, and nothing that it was given.
      </p>
      <div aria-live="polite">
        ${this.trouble === '' ? nothing : html`<p class="bad" id="pair-trouble">${this.trouble}</p>`}
        ${this.offered !== null ? this.#question(this.offered) : this.told?.owner != null ? this.#paired(this.told.owner) : this.#unpaired()}
      </div>
    </section>`;
  }

  #figures(): TemplateResult {
    if (this.told === null) return html`<p role="status">${this.isUnsaid ? 'Not known yet.' : 'Nothing yet.'}</p>`;
    const { earned, today, held, waiting, collected, lost } = this.told;
    const figure = (id: string, label: string, micro: number) =>
      html`<div><dt>${label}</dt><dd id=${id}>${credits(micro)}</dd></div>`;
    return html`<dl>
        ${figure('earned-today', 'Credits today', today)} ${figure('earned', 'Credits in all', earned)}
      ${figure('held', 'Held back', held)}
        ${waiting > 0 ? figure('waiting', 'Waiting for an owner', waiting) : nothing}
      ${collected > 0 ? figure('collected', 'Given to an account', collected) : nothing}
      ${lost > 0 ? figure('lost', 'Lost by a lie', lost) : nothing}
    </dl>
    ${
      this.told.step > 1
        ? html`<p class="soft" id="step">
            Counted in steps of ${credits(this.told.step)}, the pay of several tasks: single payments would tell a tab which of its tasks were tests of the network.
          </p>`
        : nothing
    }`;
  }

  #paired(owner: string): TemplateResult {
    return html`<p>
        This tab works for <strong id="owner">${owner}</strong>. What it earns goes to that account, which sees how much that is, and may ask this tab alone.
      </p>
      <button id="pair-leave" class="quiet" ?disabled=${this.isBusy} @click=${() => this.#act((calls) => calls.leave())}>
        Work for nobody
      </button>`;
  }

  #unpaired(): TemplateResult {
    const whom =
      this.told === null && this.isUnsaid
        ? 'The router has not said yet for whom this tab works.'
        : 'This tab works for no account: what is free of its pay waits here.';
    return html`<p>${whom} Whoever has an account can give you a code for it.</p>
      <form
        class="row"
        @submit=${(event: Event) => {
          event.preventDefault();
          void this.#ask();
        }}
      >
        <div>
          <label for="pair-code">Code</label>
          <input
            id="pair-code"
            type="text"
            maxlength=${MAX_CODE}
            autocomplete="off"
            autocapitalize="characters"
            spellcheck="false"
            placeholder="XXXX-XXXX-XXXX"
            .value=${this.code}
            @input=${(event: Event) => (this.code = (event.target as HTMLInputElement).value)}
          />
        </div>
        <button id="pair-ask" class="quiet" ?disabled=${this.isBusy || this.code.trim() === ''}>See whose it is</button>
      </form>`;
  }

  #question({ owner, code }: Offer): TemplateResult {
    const waits = (this.told?.waiting ?? 0) > 0 ? ` and the ${credits(this.told?.waiting ?? 0)} credits that wait` : '';
    return html`<p id="pair-question">
        Whoever gave you this code calls their account <strong>${owner}</strong>. Shall this tab work for it? Then what it earns${waits} goes to that account, which
        sees how much that is, and may ask this tab alone. It reads nothing of yours, and you can end it here at any time.
      </p>
      <div class="row">
        <button id="pair-yes" ?disabled=${this.isBusy} @click=${() => this.#act((calls) => calls.pair(code))}>
          Work for ${owner}
        </button>
        <button id="pair-no" class="quiet" @click=${this.#decline}>No</button>
      </div>`;
  }

  #decline(): void {
    this.offered = null;
    this.code = '';
    this.#focusHeading();
  }

  /** Nothing is asked for a browser that never lent: it has no identity, and gets none by looking. */
  async #look(): Promise<void> {
    if (this.#calls === null) {
      const identity = await keptIdentity();
      if (identity === null) return;
      this.#calls ??= new TabOwnerCalls(location.origin, identity.signer);
    }
    this.isUnsaid = this.told === null;
    await this.#calls.look().then(
      (told) => {
        this.told = told;
        this.isUnsaid = false;
      },
      () => undefined, // It is asked again after the next piece of work.
    );
  }

  /** By a link, `/join#pair=…`. */
  #asked(): void {
    const code = takeCode();
    if (code === null) return;
    this.code = code;
    this.offered = null;
    void this.#ask().then(() => this.#focusHeading()); // Whoever follows such a link came for this.
  }

  async #ask(): Promise<void> {
    const { code } = this;
    await this.#try(async (calls) => {
      const offered = await calls.ask(code);
      if (this.code === code) this.offered = { ...offered, code }; // Else another code was given meanwhile.
    });
  }

  async #act(act: (calls: TabOwnerCalls) => Promise<TabOwner>): Promise<void> {
    const isDone = await this.#try(async (calls) => {
      this.told = await act(calls);
    });
    if (!isDone) return;
    this.offered = null;
    this.code = '';
    this.#focusHeading(); // The button is gone.
  }

  async #try(act: (calls: TabOwnerCalls) => Promise<void>): Promise<boolean> {
    this.isBusy = true;
    this.trouble = '';
    try {
      await act(await this.#callsOfKept());
      return true;
    } catch (cause) {
      this.offered = null;
      this.trouble = troubleOf(cause);
      return false;
    } finally {
      this.isBusy = false;
    }
  }

  async #callsOfKept(): Promise<TabOwnerCalls> {
    if (this.#calls !== null) return this.#calls;
    const { identity, kept } = await loadIdentity();
    if (!kept) throw new WindowKeepsNothing();
    this.#calls = new TabOwnerCalls(location.origin, identity.signer);
    return this.#calls;
  }

  #focusHeading(): void {
    this.renderRoot.querySelector<HTMLElement>('h2')?.focus();
  }
}

/** A task is told to the ledger a second after it ended, and its check takes a while, ms. */
const PAID_AFTER_MS = 4_000;

class WindowKeepsNothing extends Error {}

function troubleOf(cause: unknown): string {
  if (cause instanceof ShoalError) return `${cause.message} ${cause.nextStep}`;
  if (cause instanceof WindowKeepsNothing) {
    return 'This window keeps nothing: its tab has another name at every visit, so no account could count on it. Open the link in an ordinary window.';
  }
  return 'The router cannot be reached now. Try again in a moment.';
}

/** The code of a link, `/join#pair=…`: it leaves the address bar at once, so that nobody reads or shares it there. Null where it has none. */
function takeCode(): string | null {
  const asked = new URLSearchParams(location.hash.slice(1));
  const code = asked.get('pair');
  if (code === null) return null;
  asked.delete('pair');
  const rest = asked.toString();
  history.replaceState(history.state, '', location.pathname + location.search + (rest === '' ? '' : `#${rest}`));
  const typed = code.trim().slice(0, MAX_CODE);
  return typed === '' ? null : typed;
}

customElements.define('owner-card', OwnerCard);
