/** A tab's connection to its router, as the tab sees it. */

export type SocketState =
  | { readonly state: 'connecting'; readonly attempt: number }
  | { readonly state: 'open' }
  | { readonly state: 'waiting'; readonly attempt: number; readonly retryAtMs: number }
  /** For good: closed by us, or with a code that says not to come back. */
  | { readonly state: 'closed'; readonly code: number; readonly reason: string };

export interface ConnectionEvents {
  readonly onMessage: (data: string | ArrayBuffer) => void;
  readonly onState: (state: SocketState) => void;
}

/** A connection that takes care of itself. */
export interface Connection {
  readonly isOpen: boolean;
  /** `false` when not connected: nothing was sent, and nothing is kept. */
  send(data: string | Uint8Array<ArrayBuffer>): boolean;
  close(code?: number, reason?: string): void;
  retryNow(): void;
}
