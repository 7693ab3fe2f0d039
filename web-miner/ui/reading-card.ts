import { html, LitElement, type TemplateResult } from 'lit';
import { controls } from './controls.ts';
import { joinStyles } from './join-styles.ts';

/** Who reads what, and what others could make a tab write: for whoever thinks about lending one. Nothing here changes. */
export class ReadingCard extends LitElement {
  static override styles = [controls, joinStyles];

  override render(): TemplateResult {
    return html`<section class="card" aria-labelledby="who">
        <h2 id="who">Who reads what</h2>
        <p>
          Your tab can read the prompts that it answers and checks; they arrive sealed to it and are gone when it is done. It reads nothing
          of yours: no files, no history, no other page. The page’s code may talk to this router and to the hosts of the models, and to nobody
          else: the browser sees to that.
        </p>
        <p class="soft">
          The router sees that your tab is there, how fast it is, and your network address, as any website does. With direct links allowed, whoever
          asks can see that address too.
        </p>
      </section>
      <section class="card" aria-labelledby="what">
        <h2 id="what">What others could make it write</h2>
        <p>
          Strangers write the prompts, and nobody filters them: the model answers as it would answer anybody, and some of that may be
          unpleasant. It stays text. It runs nothing, opens nothing, and nothing of it is published under your name or shown on this page.
        </p>
        <p class="soft">
          You cannot choose prompts by subject: they are sealed until your tab opens them, and looking inside to sort them would be reading them.
          What you can choose: the model; “Only check”, and your tab gives no answers of its own (it still runs the prompts that it
          checks); when it works; and to stop.
        </p>
      </section>`;
  }
}

customElements.define('reading-card', ReadingCard);
