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
        <p>
          What you can choose, and the network holds to: <strong>the model</strong>; <strong>only check</strong>, and your tab answers nobody (it still runs
          the prompts that it checks); <strong>only turn texts into numbers</strong>, and it writes none; <strong>no direct links</strong>; when it works; and to stop.
        </p>
        <p class="soft">
          What nobody can choose: prompts by subject, by who asks, or by whether they are private. They are sealed until your tab opens them, and looking inside to sort them would be
          reading them. Nor can the network’s own test questions be left out, or be all that you take: a tab that could tell them apart could lie to everybody else.
        </p>
      </section>`;
  }
}

customElements.define('reading-card', ReadingCard);
