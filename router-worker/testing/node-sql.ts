import { DatabaseSync, type SQLInputValue } from 'node:sqlite';

/** The SQL of a Durable Object on Node's own SQLite, for tests without workerd. Stores sit their exam on both. */
export class NodeSql {
  readonly sql: SqlStorage;
  readonly #database = new DatabaseSync(':memory:');

  constructor() {
    // The few members of the platform's class that stores use.
    this.sql = {
      exec: (query: string, ...bindings: unknown[]) => this.#exec(query, bindings),
    } as unknown as SqlStorage;
  }

  readonly transact = (act: () => void): void => {
    this.#database.exec('SAVEPOINT act');
    try {
      act();
      this.#database.exec('RELEASE act');
    } catch (cause) {
      this.#database.exec('ROLLBACK TO act');
      this.#database.exec('RELEASE act');
      throw cause;
    }
  };

  #exec(query: string, bindings: unknown[]) {
    if (bindings.length === 0 && /;\s*\S/.test(query)) {
      this.#database.exec(query);
      return cursorOf([]);
    }
    return cursorOf(
      this.#database
        .prepare(query)
        .all(...(bindings as SQLInputValue[]))
        .map(asPlatform),
    );
  }
}

/** Blobs come as buffers there. */
function asPlatform(row: Record<string, unknown>): Record<string, unknown> {
  const values = Object.entries(row).map(([name, value]) => [
    name,
    value instanceof Uint8Array ? value.slice().buffer : value,
  ]);
  return Object.fromEntries(values) as Record<string, unknown>;
}

function cursorOf(rows: readonly Record<string, unknown>[]) {
  return {
    toArray: () => [...rows],
    one() {
      const [row] = rows;
      if (row === undefined || rows.length !== 1) throw new Error(`${rows.length} rows instead of one`);
      return row;
    },
    [Symbol.iterator]: () => rows[Symbol.iterator](),
  };
}
