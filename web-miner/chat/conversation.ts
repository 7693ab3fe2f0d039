import type { ChatMessage } from '../../shared/protocol/sealed-body.ts';
import type { ChatSettings } from './chat-settings.ts';
import { type Exchange, pickedOf, type Turn } from './exchange.ts';
import { Following, type FollowingPorts } from './following.ts';

export interface ConversationPorts extends FollowingPorts {
  settings(): ChatSettings;
  /** Called with every change; `busy` as long as a question is under way. */
  readonly onChange: (turns: readonly Turn[], busy: boolean) => void;
}

export interface AskLimits {
  readonly maxTokens?: number;
}

/** Questions and answers, one question at a time, each answer followed to its verdict. */
export class Conversation {
  readonly #ports: ConversationPorts;
  #turns: readonly Turn[] = [];
  #abort: AbortController | null = null;

  constructor(ports: ConversationPorts) {
    this.#ports = ports;
  }

  /** Stops the question that is under way, at whatever point it is. */
  stop(): void {
    this.#abort?.abort();
  }

  /** Begins anew, or goes on with turns from before. Not while a question is under way. */
  take(turns: readonly Turn[]): void {
    if (this.#abort !== null) return;
    this.#turns = turns;
    this.#changed();
  }

  /** Goes on with another of the answers side by side. */
  pick(turn: number, answer: number): void {
    this.#turns = this.#turns.map((other, i) => (i === turn ? { ...other, picked: answer } : other));
    this.#changed();
  }

  /** Asks in place of this turn: it and all after it are gone. Not while a question is under way. */
  async askInstead(turn: number, question: string): Promise<void> {
    if (this.#abort !== null) return;
    this.#turns = this.#turns.slice(0, turn);
    await this.ask(question);
  }

  /** Asks, and follows the answers to their verdicts; gives the first. Never throws: what goes wrong is shown beside the question. */
  async ask(question: string, limits: AskLimits = {}): Promise<Exchange> {
    const chosen = this.#ports.settings();
    const settings = { ...chosen, maxTokens: limits.maxTokens ?? chosen.maxTokens };
    const messages = this.#messages(question, settings.system);
    const at = this.#turns.length;
    const followings = Array.from(
      { length: settings.answers },
      (_, index) =>
        new Following(this.#ports, question, settings, index, (exchange) => this.#answerMoved(at, index, exchange)),
    );
    const abort = new AbortController();
    const answers = followings.map(({ exchange }) => exchange);
    this.#turns = [...this.#turns, { question, answers, picked: 0 }];
    this.#abort = abort;
    this.#changed();
    await Promise.all(followings.map((following) => following.run(messages, abort.signal)));
    if (this.#abort === abort) this.#abort = null;
    this.#pickOneThatCame(at);
    this.#changed();
    return followings[0]?.exchange as Exchange;
  }

  /** Where the first of several failed, the conversation goes on with one that did not. */
  #pickOneThatCame(at: number): void {
    const turn = this.#turns[at];
    if (turn === undefined || pickedOf(turn)?.state === 'done') return;
    const came = turn.answers.findIndex(({ state }) => state === 'done');
    if (came !== -1) this.#turns = this.#turns.map((other, i) => (i === at ? { ...other, picked: came } : other));
  }

  #answerMoved(at: number, index: number, exchange: Exchange): void {
    this.#turns = this.#turns.map((turn, i) =>
      i === at ? { ...turn, answers: turn.answers.map((other, n) => (n === index ? exchange : other)) } : turn,
    );
    this.#changed();
  }

  /** The turns so far, without those that failed. */
  #messages(question: string, system: string): ChatMessage[] {
    const turns = this.#turns.flatMap((turn): ChatMessage[] => {
      const picked = pickedOf(turn);
      if (picked?.state !== 'done') return [];
      return [
        { role: 'user', content: turn.question },
        { role: 'assistant', content: picked.answer },
      ];
    });
    const first: ChatMessage[] = system.trim() === '' ? [] : [{ role: 'system', content: system }];
    return [...first, ...turns, { role: 'user', content: question }];
  }

  #changed(): void {
    this.#ports.onChange(this.#turns, this.#abort !== null);
  }
}
