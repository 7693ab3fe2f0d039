/** What `node-sql.ts` uses of Node; the router's own code is compiled without Node's types. */
declare module 'node:sqlite' {
  export type SQLInputValue = null | number | bigint | string | Uint8Array;
  export class DatabaseSync {
    constructor(path: string);
    exec(sql: string): void;
    prepare(sql: string): { all(...values: SQLInputValue[]): Record<string, unknown>[] };
  }
}
