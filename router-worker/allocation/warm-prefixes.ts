/** Conversations remembered. A pool has a few hundred tabs, and each holds a few. */
const MAX_CONVERSATIONS = 4_096;
/** Conversations that one engine is trusted to hold at once. It has one slot, and keeps what it served before beside it, as far as its memory goes. */
const HELD_BY_A_TAB = 4;

export interface Warm {
  readonly tab: string;
  readonly class: string;
  /** Tokens of prompt and answer after the last turn. */
  readonly tokens: number;
}

/**
 * Which tab holds the beginning of a conversation in its engine's cache. Bounded; the key is a digest of the conversation's beginning under the router's
 * secret, never its text.
 */
export class WarmPrefixes {
  readonly #byConversation = new Map<string, Warm>();
  readonly #byTab = new Map<string, string[]>();

  /** Who holds the conversation; null when nobody does. */
  holderOf(conversation: string | null): Warm | null {
    return conversation === null ? null : (this.#byConversation.get(conversation) ?? null);
  }

  /** The tab has finished a turn of the conversation. */
  served(tab: string, classId: string, conversation: string, tokens: number): void {
    this.#drop(conversation); // Whoever held it before has an older turn.
    const [oldest] = this.#byConversation.keys();
    if (oldest !== undefined && this.#byConversation.size >= MAX_CONVERSATIONS) this.#drop(oldest);
    this.#byConversation.set(conversation, { tab, class: classId, tokens });
    const held = (this.#byTab.get(tab) ?? []).filter((one) => one !== conversation);
    held.push(conversation);
    this.#byTab.set(tab, held);
  }

  /** The tab begins other work: what it held longest gives way. */
  began(tab: string, conversation: string | null): void {
    const held = this.#byTab.get(tab);
    if (held === undefined) return;
    const others = held.filter((one) => one !== conversation);
    for (const cold of others.slice(0, Math.max(0, others.length - HELD_BY_A_TAB + 1))) this.#drop(cold);
  }

  left(tab: string): void {
    for (const conversation of this.#byTab.get(tab) ?? []) this.#drop(conversation);
  }

  #drop(conversation: string): void {
    const warm = this.#byConversation.get(conversation);
    this.#byConversation.delete(conversation);
    if (warm === undefined) return;
    const held = (this.#byTab.get(warm.tab) ?? []).filter((one) => one !== conversation);
    if (held.length === 0) this.#byTab.delete(warm.tab);
    else this.#byTab.set(warm.tab, held);
  }
}
