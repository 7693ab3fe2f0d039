import { html, LitElement, nothing, type TemplateResult } from 'lit';
import type { Serving } from '../work/start-lending.ts';
import { controls } from './controls.ts';
import { duration, megabytes, speed } from './format.ts';
import { joinStyles } from './join-styles.ts';

/** What the tab has done, in figures. */
export class WorkFigures extends LitElement {
  static override properties = { serving: { attribute: false }, servingSince: { attribute: false } };
  declare serving: Serving | null;
  declare servingSince: number | null;

  static override styles = [controls, joinStyles];

  constructor() {
    super();
    this.serving = null;
    this.servingSince = null;
  }

  override render(): TemplateResult | typeof nothing {
    if (this.serving === null) return nothing;
    const { tab, bytesToday, tested } = this.serving;
    const { counts, speeds } = tab;
    return html`<dl>
        <div><dt>Tokens per second</dt><dd id="speed">${speed(tab.tokensPerSecond)}</dd></div>
        <div><dt>Answers given</dt><dd id="answers">${counts.answers}</dd></div>
        <div><dt>Checks made</dt><dd id="checks">${counts.checks}</dd></div>
        <div><dt>Tokens written</dt><dd>${counts.tokens}</dd></div>
        <div><dt>Found right</dt><dd>${counts.valid}</dd></div>
        <div><dt>Found wrong</dt><dd>${counts.invalid}</dd></div>
        <div><dt>In dispute</dt><dd>${counts.disputed}</dd></div>
        <div><dt>Stopped by asker</dt><dd id="stopped">${counts.stopped}</dd></div>
        <div><dt>Lent for</dt><dd id="uptime">${this.servingSince === null ? '–' : duration(Date.now() - this.servingSince)}</dd></div>
        <div><dt>Data today</dt><dd id="data">${megabytes(bytesToday)}</dd></div>
        <div><dt>Direct links</dt><dd>${tab.links}</dd></div>
        <div><dt>Device test</dt><dd id="tested">${TESTED[tested.outcome]}</dd></div>
      </dl>
      ${speeds.hidden === null || speeds.visible === null ? nothing : html`<p class="soft below" id="hidden-speed">In the background it writes ${speed(speeds.hidden)} tokens per second, in the foreground ${speed(speeds.visible)}. The router knows.</p>`}
      ${thanks(counts.answers, counts.checks)}`;
  }
}

const TESTED = { right: 'right', steady: 'steady', slow: 'too slow to tell', wrong: 'wrong' } as const;

function thanks(answers: number, checks: number): TemplateResult | typeof nothing {
  if (answers + checks === 0) return nothing;
  const done = [
    answers > 0 ? `${answers} ${answers === 1 ? 'answer' : 'answers'}` : '',
    checks > 0 ? `${checks} ${checks === 1 ? 'check' : 'checks'}` : '',
  ].filter((part) => part !== '');
  return html`<p class="below" id="thanks">Thank you: ${done.join(' and ')} by this tab, for people you do not know.</p>`;
}

customElements.define('work-figures', WorkFigures);
