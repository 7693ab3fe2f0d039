import { css, html, LitElement, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { SealedClient } from '../../client/sealed-client.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { ChatSettings } from '../chat/chat-settings.ts';
import { type AskLimits, Conversation } from '../chat/conversation.ts';
import type { ConversationStore, KeptConversation } from '../chat/conversation-store.ts';
import type { Exchange, Turn } from '../chat/exchange.ts';
import { keepApiKey, keptApiKey } from '../chat/kept-api-key.ts';
import { keepSettings, keptSettings } from '../chat/kept-settings.ts';
import { PlainClient } from '../chat/plain-client.ts';
import { fetchReadableBytes } from '../chat/readable-bytes.ts';
import type { ChatComposer } from './chat-composer.ts';
import './chat-composer.ts';
import './chat-history.ts';
import './chat-turn.ts';
import { controls } from './controls.ts';
import { fetchModels, type ListedModel } from './model-list.ts';
import { saveTextAsFile } from './save-as-file.ts';

export type { Exchange } from '../chat/exchange.ts';

/** The one stateful element of `/chat`: seals prompts in this page and shows the way, the check and the receipt of every answer. */
export class ChatPage extends LitElement {
  static override properties = {
    turns: { state: true },
    models: { state: true },
    model: { state: true },
    settings: { state: true },
    direct: { state: true },
    trouble: { state: true },
    busy: { state: true },
    edited: { state: true },
    kept: { state: true },
    current: { state: true },
    apiKey: { state: true },
    keepsKey: { state: true },
  };
  declare turns: readonly Turn[];
  declare models: readonly ListedModel[];
  declare model: string;
  declare settings: ChatSettings;
  declare direct: boolean;
  declare trouble: string | null;
  declare busy: boolean;
  /** Number of the turn whose question is being changed; null: none. */
  declare edited: number | null;
  declare kept: readonly KeptConversation[];
  declare current: string | null;
  declare apiKey: string;
  declare keepsKey: boolean;

  #client: SealedClient | null = null;
  #looked: Promise<void> = Promise.resolve();
  /** The person named a model: it is not changed for one that has tabs. */
  #hasChosen = false;
  /** Loaded with the first word of it: the page comes without. Null where the browser keeps nothing. */
  #store: Promise<ConversationStore | null> | null = null;
  readonly #conversation = new Conversation({
    model: () => this.#chosenModel(),
    settings: () => this.settings,
    client: (isPrivate) => (isPrivate ? this.#sealedClient() : new PlainClient(location.origin, this.#keyOrNull())),
    readableBytes: fetchReadableBytes,
    onChange: (turns, busy) => {
      this.turns = turns;
      this.busy = busy;
    },
  });

  static override styles = [
    controls,
    css`
      ol {
        list-style: none;
        margin: 0;
        padding: 0;
      }
    `,
  ];

  constructor() {
    super();
    this.turns = [];
    this.models = [];
    const { model, settings, direct } = keptSettings();
    this.model = model ?? '';
    this.#hasChosen = model !== null;
    this.settings = settings;
    this.direct = direct;
    this.trouble = null;
    this.busy = false;
    this.edited = null;
    this.kept = [];
    this.current = null;
    this.apiKey = keptApiKey() ?? '';
    this.keepsKey = this.apiKey !== '';
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#looked = this.#look();
    void this.#list();
  }

  async #look(): Promise<void> {
    try {
      this.models = await fetchModels('chat');
      const served = this.models.find((model) => model.shoal.tabs > 0) ?? this.models[0];
      // One that was chosen at an earlier visit may be gone.
      const isThere = this.models.some(({ id }) => id === this.model);
      if (!this.#hasChosen || !isThere) this.model = served?.id ?? '';
      this.trouble = null;
    } catch (cause) {
      this.trouble = cause instanceof Error ? cause.message : String(cause);
    }
  }

  override render(): TemplateResult {
    const { turns, busy, edited } = this;
    return html`
      <h1>Ask the shoal</h1>
      <p class="soft">
        ${
          this.settings.isPrivate
            ? 'Your prompt is sealed in this page for the tab that answers, and for the one that checks it. The router passes it on and cannot read it.'
            : 'Your prompt goes by plain HTTP now: the router can read it, and so can the tab that answers and the one that checks it.'
        }
      </p>
      <chat-history
        .kept=${this.kept}
        .current=${this.current}
        ?hasTurns=${turns.length > 0}
        ?busy=${busy}
        @open-kept=${(event: CustomEvent<string>) => this.#openKept(event.detail)}
        @remove-kept=${(event: CustomEvent<string>) => this.#removeKept(event.detail)}
        @remove-all=${this.#removeAll}
        @export=${(event: CustomEvent<'markdown' | 'json'>) => this.#export(event.detail)}
      ></chat-history>
      <ol aria-label="Conversation">
        ${repeat(
          turns,
          (_, index) => `${this.current} ${index}`,
          (turn, index) => html`<li>
            <chat-turn
              .turn=${turn}
              ?busy=${busy}
              ?withKey=${this.apiKey !== ''}
              @pick=${(event: CustomEvent<number>) => this.#pick(index, event.detail)}
              @retry=${() => this.#askInstead(index, turn.question)}
              @edit=${() => this.#edit(index)}
            ></chat-turn>
          </li>`,
        )}
      </ol>
      <chat-composer
        .models=${this.models}
        .model=${this.model}
        .settings=${this.settings}
        .direct=${this.direct}
        .trouble=${this.trouble}
        .edited=${edited === null ? null : (turns[edited]?.question ?? null)}
        .apiKey=${this.apiKey}
        .keepsKey=${this.keepsKey}
        ?busy=${busy}
        ?hasTurns=${turns.length > 0}
        @ask=${(event: CustomEvent<string>) => this.#asked(event.detail)}
        @stop=${() => this.#conversation.stop()}
        @fresh=${this.#fresh}
        @leave-edit=${() => this.#edit(null)}
        @model=${(event: CustomEvent<string>) => this.#choose(event.detail)}
        @settings=${(event: CustomEvent<Partial<ChatSettings>>) => this.#set(event.detail)}
        @direct=${(event: CustomEvent<boolean>) => this.#setDirect(event.detail)}
        @key=${(event: CustomEvent<{ readonly key: string; readonly keeps: boolean }>) => this.#setKey(event.detail)}
      ></chat-composer>
    `;
  }

  // ---- asking --------------------------------------------------------------------------------------------------------

  /** Asks, and follows the answer to its verdict; of several side by side, gives the first. Never throws: what goes wrong is shown beside the question. */
  async ask(question: string, limits: AskLimits = {}): Promise<Exchange> {
    this.current ??= crypto.randomUUID();
    const exchange = await this.#conversation.ask(question, limits);
    await this.#keep();
    return exchange;
  }

  async #asked(question: string): Promise<void> {
    const { edited } = this;
    if (edited === null) await this.ask(question);
    else await this.#askInstead(edited, question);
    this.#looked = this.#look(); // Tabs come and go.
    this.#composer?.focusPrompt();
  }

  async #askInstead(turn: number, question: string): Promise<void> {
    this.edited = null;
    await this.#conversation.askInstead(turn, question);
    await this.#keep();
  }

  #edit(turn: number | null): void {
    this.edited = turn;
  }

  #pick(turn: number, answer: number): void {
    this.#conversation.pick(turn, answer);
    void this.#keep();
  }

  #fresh(): void {
    this.edited = null;
    this.current = null;
    this.#conversation.take([]);
    this.#composer?.focusPrompt();
  }

  get #composer(): ChatComposer | null {
    return this.renderRoot.querySelector<ChatComposer>('chat-composer');
  }

  async #chosenModel(): Promise<string> {
    await this.#looked;
    if (this.model === '') throw new ShoalError('model_not_found', this.trouble ?? 'The router offers no model.');
    return this.model;
  }

  // ---- how it is asked -----------------------------------------------------------------------------------------------

  #choose(model: string): void {
    this.model = model;
    this.#hasChosen = true;
    this.#keepChoices();
  }

  #set(part: Partial<ChatSettings>): void {
    this.settings = { ...this.settings, ...part };
    this.#keepChoices();
  }

  #setDirect(direct: boolean): void {
    this.direct = direct;
    this.#renewClient(); // Links belong to a client: the next question opens its own.
    this.#keepChoices();
  }

  #keepChoices(): void {
    const { settings, direct } = this;
    keepSettings({ model: this.#hasChosen ? this.model : null, direct, settings });
  }

  #setKey({ key, keeps }: { readonly key: string; readonly keeps: boolean }): void {
    this.apiKey = key;
    this.keepsKey = keeps;
    keepApiKey(keeps && key !== '' ? key : null);
    this.#renewClient();
  }

  #keyOrNull(): string | null {
    return this.apiKey === '' ? null : this.apiKey;
  }

  #sealedClient(): SealedClient {
    const apiKey = this.#keyOrNull();
    this.#client ??= new SealedClient({
      baseUrl: location.origin,
      directLinks: this.direct,
      ...(apiKey !== null && { apiKey }),
    });
    return this.#client;
  }

  #renewClient(): void {
    this.#client?.close();
    this.#client = null;
  }

  // ---- what this browser keeps ---------------------------------------------------------------------------------------

  #opened(): Promise<ConversationStore | null> {
    this.#store ??= import('../chat/conversation-store.ts').then(
      ({ ConversationStore }) => new ConversationStore(),
      () => null,
    );
    return this.#store;
  }

  /** A browser that keeps nothing shows an empty list: the conversation on the page goes on all the same. */
  async #list(): Promise<void> {
    try {
      this.kept = (await (await this.#opened())?.list()) ?? [];
    } catch {
      this.kept = [];
    }
  }

  async #keep(): Promise<void> {
    const { turns, current } = this;
    if (turns.length === 0 || current === null) return;
    try {
      const { titleOf } = await import('../chat/conversation-store.ts');
      await (await this.#opened())?.put({ id: current, title: titleOf(turns), at: Date.now(), turns });
    } catch {
      // Storage is full or switched off: the conversation lasts as long as the page.
    }
    await this.#list();
  }

  #openKept(id: string): void {
    const found = this.kept.find((conversation) => conversation.id === id);
    if (found === undefined || this.busy) return;
    this.edited = null;
    this.current = id;
    this.#conversation.take(found.turns);
  }

  async #removeKept(id: string): Promise<void> {
    if (id === this.current) this.#fresh();
    await (await this.#opened())?.remove(id);
    await this.#list();
  }

  async #removeAll(): Promise<void> {
    this.#fresh();
    await (await this.#opened())?.removeAll();
    await this.#list();
  }

  async #export(format: 'markdown' | 'json'): Promise<void> {
    const { asJson, asMarkdown } = await import('../chat/conversation-file.ts');
    const title = this.turns[0]?.question.slice(0, 80) ?? 'Conversation';
    if (format === 'json') saveTextAsFile('shoal-conversation.json', asJson(title, this.turns), 'application/json');
    else saveTextAsFile('shoal-conversation.md', asMarkdown(title, this.turns), 'text/markdown');
  }
}

customElements.define('chat-page', ChatPage);

declare global {
  interface HTMLElementTagNameMap {
    'chat-page': ChatPage;
  }
}
