import { css, LitElement, type PropertyValues } from 'lit';
import { MarkdownStream } from '../markdown/markdown-stream.ts';

type Renderer = typeof import('../markdown/render.ts');

/** A page that is not looked at draws no frames; text is shown there all the same after this time, ms. */
const UNSEEN_MS = 250;

/** An answer as it is written, rendered from Markdown and safe to show. Until the renderer has come, and where it cannot come, as plain text. */
export class MarkdownView extends LitElement {
  static override properties = { text: {}, whole: { type: Boolean } };
  /** It only grows, or is another one altogether. */
  declare text: string;
  /** Whether there will be no more of it. */
  declare whole: boolean;

  static #renderer: Promise<Renderer> | null = null;

  static override styles = css`
    :host { display: block; overflow-wrap: anywhere; min-height: 1.5em; }
    .plain { white-space: pre-wrap; }
    p, ul, ol, pre, blockquote, .scroll { margin: 0 0 10px; }
    h3 { margin: 14px 0 6px; font-size: 1.05rem; }
    h3.depth-1 { font-size: 1.25rem; }
    h3.depth-2 { font-size: 1.15rem; }
    ul, ol { padding-left: 1.5em; }
    li > p { margin: 0; }
    a { color: var(--accent); }
    .host { color: var(--soft); font-size: 0.85em; }
    code { font-family: var(--mono); font-size: 0.9em; background: var(--sunken); border-radius: 4px; padding: 1px 4px; }
    pre { overflow-x: auto; padding: 12px 14px; border: 1px solid var(--line); border-radius: 8px; background: var(--sunken); }
    pre code { padding: 0; background: none; }
    blockquote { margin-left: 0; padding-left: 12px; border-left: 3px solid var(--line); color: var(--soft); }
    .scroll { overflow-x: auto; }
    table { border-collapse: collapse; }
    th, td { border: 1px solid var(--line); padding: 6px 10px; text-align: left; }
    th { background: var(--sunken); }
    hr { border: 0; border-top: 1px solid var(--line); }
    :focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
  `;

  #stream: MarkdownStream | null = null;
  #shown = '';
  readonly #finished = document.createElement('div');
  readonly #open = document.createElement('div');
  readonly #rest = document.createElement('div');

  constructor() {
    super();
    this.text = '';
    this.whole = false;
    this.#rest.className = 'plain';
  }

  protected override createRenderRoot(): HTMLElement | DocumentFragment {
    const root = super.createRenderRoot();
    root.append(this.#finished, this.#open, this.#rest);
    return root;
  }

  /** At most once a frame, however many tokens come. */
  protected override async scheduleUpdate(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, UNSEEN_MS);
      requestAnimationFrame(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    super.scheduleUpdate();
  }

  protected override update(changed: PropertyValues<this>): void {
    super.update(changed);
    void this.#show();
  }

  async #show(): Promise<void> {
    MarkdownView.#renderer ??= import('../markdown/render.ts');
    let renderer: Renderer;
    try {
      renderer = await MarkdownView.#renderer;
    } catch {
      MarkdownView.#renderer = null; // Out of reach now: the next update tries again.
      this.#rest.textContent = this.text;
      return;
    }
    const { renderMarkdown, finishedLength } = renderer;
    if (this.#stream === null || !this.text.startsWith(this.#shown)) {
      this.#stream = new MarkdownStream(finishedLength);
      this.#shown = '';
      this.#finished.replaceChildren();
    }
    const { finished, open, rest } = this.#stream.push(this.text.slice(this.#shown.length), this.whole);
    this.#shown = this.text;
    if (finished !== '') this.#finished.append(renderMarkdown(finished));
    if (open !== null) this.#open.replaceChildren(renderMarkdown(open));
    this.#rest.textContent = rest;
  }
}

customElements.define('markdown-view', MarkdownView);

declare global {
  interface HTMLElementTagNameMap {
    'markdown-view': MarkdownView;
  }
}
