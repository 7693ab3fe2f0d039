import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SocketState } from './connection.ts';
import { ReconnectingSocket } from './reconnecting-socket.ts';

const MOVED = 4421;

class FakeSocket {
  static readonly OPEN = 1;
  static readonly all: FakeSocket[] = [];
  readonly url: string;
  readyState = 0;
  onopen: (() => void) | null = null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null = null;

  constructor(url: string) {
    this.url = url;
    FakeSocket.all.push(this);
  }

  opens(): void {
    this.readyState = FakeSocket.OPEN;
    this.onopen?.();
  }

  close(): void {}
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('WebSocket', FakeSocket);
  FakeSocket.all.length = 0;
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function aSocket() {
  const states: SocketState[] = [];
  let name = 'a';
  const socket = new ReconnectingSocket({
    url: () => `wss://router/${name}`,
    finalCodes: [4400],
    movedCodes: [MOVED],
    random: () => 1,
    onMessage: () => undefined,
    onState: (state) => states.push(state),
  });
  return { socket, states, renamed: (to: string) => (name = to) };
}

/** The last one closes with this code. Says after how long it is tried again, ms, and which attempt that is. */
function closes(states: readonly SocketState[], code: number): readonly unknown[] {
  FakeSocket.all.at(-1)?.onclose?.({ code, reason: '' });
  const last = states.at(-1);
  return last?.state === 'waiting' ? [last.retryAtMs - Date.now(), last.attempt] : [last?.state];
}

describe('a socket that comes back', () => {
  it('[Q3] comes back at once from a pool that sends it on, which is no failure; sent on and on it backs off', () => {
    const { states } = aSocket();
    FakeSocket.all.at(-1)?.opens();
    expect(closes(states, MOVED)).toEqual([200, 0]);
    vi.advanceTimersByTime(200);
    FakeSocket.all.at(-1)?.opens();
    expect(closes(states, MOVED)).toEqual([500, 1]);
    vi.advanceTimersByTime(500);
    FakeSocket.all.at(-1)?.opens();
    vi.advanceTimersByTime(15_000);
    expect(closes(states, MOVED)).toEqual([200, 0]);
    expect(FakeSocket.all).toHaveLength(3);
  });

  it('asks for its address whenever it connects', () => {
    const { states, renamed } = aSocket();
    renamed('b');
    expect(closes(states, 1006)).toEqual([500, 1]);
    vi.advanceTimersByTime(500);
    expect(FakeSocket.all.map(({ url }) => url)).toEqual(['wss://router/a', 'wss://router/b']);
  });

  it('stays away after a code that is final', () => {
    const { states } = aSocket();
    expect(closes(states, 4400)).toEqual(['closed']);
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.all).toHaveLength(1);
  });
});
