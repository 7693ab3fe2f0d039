import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
import { isSettled, type Turn } from './exchange.ts';

/** A conversation as this browser keeps it. Persisted: fields may be added, never repurposed. */
export interface KeptConversation {
  readonly id: string;
  readonly title: string;
  /** When it was last changed, epoch ms. */
  readonly at: number;
  readonly turns: readonly Turn[];
}

interface ChatDb extends DBSchema {
  conversations: { key: string; value: KeptConversation; indexes: { at: number } };
}

/** Conversations that are kept; the oldest give way. */
const MOST_KEPT = 200;
const TITLE_LENGTH = 80;

/** Conversations of this browser, in its own storage and nowhere else. */
export class ConversationStore {
  #db: Promise<IDBPDatabase<ChatDb>> | null = null;

  /** The last changed first. Throws where the browser keeps nothing. */
  async list(): Promise<readonly KeptConversation[]> {
    const db = await this.#open();
    return (await db.getAllFromIndex('conversations', 'at')).reverse().map(afterwards);
  }

  async put(conversation: KeptConversation): Promise<void> {
    const db = await this.#open();
    const write = db.transaction('conversations', 'readwrite');
    await write.store.put(conversation);
    const excess = (await write.store.count()) - MOST_KEPT;
    let cursor = excess > 0 ? await write.store.index('at').openCursor() : null;
    for (let i = 0; i < excess && cursor !== null; i++) {
      await cursor.delete();
      cursor = await cursor.continue();
    }
    await write.done;
  }

  async remove(id: string): Promise<void> {
    await (await this.#open()).delete('conversations', id);
  }

  async removeAll(): Promise<void> {
    await (await this.#open()).clear('conversations');
  }

  #open(): Promise<IDBPDatabase<ChatDb>> {
    this.#db ??= openDB<ChatDb>('shoal-chat', 1, {
      upgrade(database) {
        database.createObjectStore('conversations', { keyPath: 'id' }).createIndex('at', 'at');
      },
    }).catch((cause) => {
      this.#db = null;
      throw cause;
    });
    return this.#db;
  }
}

/** What a conversation is called: by how it begins. */
export function titleOf(turns: readonly Turn[]): string {
  const question = turns[0]?.question.replaceAll(/\s+/g, ' ').trim() ?? '';
  return question.length > TITLE_LENGTH ? `${question.slice(0, TITLE_LENGTH)}…` : question;
}

/** An answer that was under way when the page closed was stopped by that. */
function afterwards(conversation: KeptConversation): KeptConversation {
  const turns = conversation.turns.map((turn) => ({
    ...turn,
    answers: turn.answers.map((answer) =>
      isSettled(answer) ? answer : { ...answer, state: 'stopped' as const, note: 'Stopped: the page was closed' },
    ),
  }));
  return { ...conversation, turns };
}
