import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import type { Turn } from '../chat/exchange.ts';
import './chat-answer.ts';
import { controls } from './controls.ts';
import { emit } from './emit.ts';

/** Characters from which on a question is shown in part. */
const LONG_QUESTION = 1_000;

/** A question with its answers side by side. Says `pick` with the number of an answer, `retry` and `edit`. */
export class ChatTurn extends LitElement {
  static override properties = {
    turn: { attribute: false },
    busy: { type: Boolean },
    withKey: { type: Boolean },
    isWhole: { state: true },
  };
  declare turn: Turn | null;
  declare busy: boolean;
  declare withKey: boolean;
  /** A long question is shown whole. */
  declare isWhole: boolean;

  static override styles = [
    controls,
    css`
      .asked { margin: 0 0 8px auto; width: fit-content; max-width: 85%; }
      .question {
        margin: 0;
        padding: 10px 14px;
        border-radius: 14px 14px 2px 14px;
        background: var(--accent-soft);
        font-size: 1rem;
        font-weight: 400;
        line-height: inherit;
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      .question.cut { max-height: 12em; overflow: hidden; mask-image: linear-gradient(#000 75%, transparent); }
      .acts { justify-content: flex-end; gap: 4px; margin-top: 2px; }
      .acts button { border-color: transparent; }
      .answers { display: grid; gap: var(--gap); grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); }
      .card { min-width: 0; }
      .picked { border-color: var(--accent); }
      .pick { margin-top: 10px; }
    `,
  ];

  constructor() {
    super();
    this.turn = null;
    this.busy = false;
    this.withKey = false;
    this.isWhole = false;
  }

  override render(): TemplateResult | typeof nothing {
    const { turn, busy } = this;
    if (turn === null) return nothing;
    const isSeveral = turn.answers.length > 1;
    const isLong = turn.question.length > LONG_QUESTION;
    return html`
      <div class="asked">
        <h2 class="question ${isLong && !this.isWhole ? 'cut' : ''}"><span class="unseen">You asked: </span>${turn.question}</h2>
        <div class="row acts">
          ${
            isLong
              ? html`<button class="quiet small" aria-expanded=${this.isWhole} @click=${this.#showWhole}>
                  ${this.isWhole ? 'Show less' : 'Show all of it'}
                </button>`
              : nothing
          }
          <button class="quiet small" ?disabled=${busy} @click=${() => emit(this, 'edit', null)}>Edit</button>
          <button class="quiet small" ?disabled=${busy} @click=${() => emit(this, 'retry', null)}>Ask again</button>
        </div>
      </div>
      <div class="answers">
        ${turn.answers.map(
          (exchange, index) => html`<div class="card ${isSeveral && index === turn.picked ? 'picked' : ''}">
            <chat-answer .exchange=${exchange} .withKey=${this.withKey}></chat-answer>
            ${
              isSeveral
                ? html`<button
                    class="quiet small pick"
                    aria-pressed=${index === turn.picked}
                    ?disabled=${busy || exchange.state !== 'done'}
                    @click=${() => emit(this, 'pick', index)}
                  >
                    ${index === turn.picked ? 'Goes on from this one' : 'Go on from this one'}
                  </button>`
                : nothing
            }
          </div>`,
        )}
      </div>
    `;
  }

  #showWhole(): void {
    this.isWhole = !this.isWhole;
  }
}

customElements.define('chat-turn', ChatTurn);
