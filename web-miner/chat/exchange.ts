import type { Verdict } from '../../shared/checking/verdict.ts';
import type { Level } from '../../shared/protocol/level.ts';
import type { ChatMessage } from '../../shared/protocol/sealed-body.ts';
import type { TaskPath } from '../../shared/sealed-task/sealed-task.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';

/** The request of one answer, in OpenAI's field names. */
export interface AskedRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly temperature?: number;
  readonly top_p?: number;
  readonly max_tokens?: number;
  readonly seed?: number;
}

/** One answer and all that is known of it. Plain data: it is kept in this browser as it is. Read by the demo and the page tests too. */
export interface Exchange {
  readonly question: string;
  readonly answer: string;
  /** The answer stopped at a limit of tokens, not at its own end. */
  readonly isCut: boolean;
  readonly state: 'waiting' | 'writing' | 'checking' | 'done' | 'stopped' | 'failed';
  readonly note: string;
  /** Null before the model is known. */
  readonly request: AskedRequest | null;
  readonly level: Level | null;
  /** Sealed in the page; else the router could read it. */
  readonly isPrivate: boolean;
  readonly task: string | null;
  readonly tab: string | null;
  readonly promptPath: TaskPath | null;
  readonly framesByRelay: number;
  readonly framesDirect: number;
  readonly firstTokenMs: number | null;
  readonly tokens: number;
  readonly tokensPerSecond: number | null;
  readonly relayBytes: number;
  readonly directBytes: number;
  /** Content that the router could read, by its own count; null before the end, or when it cannot be asked. */
  readonly readableBytes: number | null;
  readonly verdict: Verdict | null;
  readonly cosine: number | null;
  readonly receipt: Signed | null;
  readonly receiptHolds: boolean | null;
  /** What an audit of this answer needs beside its receipt; null until it is whole. */
  readonly transcript: SavedTranscript | null;
}

/** The exchange in the shape that an audit reads. */
export interface SavedTranscript {
  readonly request: AskedRequest;
  readonly response: {
    readonly choices: readonly [
      {
        readonly index: 0;
        readonly message: { readonly role: 'assistant'; readonly content: string };
        readonly finish_reason: 'stop' | 'length';
      },
    ];
    readonly shoal: { readonly receipt: string; readonly salt: string };
  };
}

export function newExchange(question: string, level: Level | null, isPrivate: boolean): Exchange {
  return {
    question,
    level,
    isPrivate,
    answer: '',
    isCut: false,
    state: 'waiting',
    note: 'Looking for a tab',
    request: null,
    task: null,
    tab: null,
    promptPath: null,
    framesByRelay: 0,
    framesDirect: 0,
    firstTokenMs: null,
    tokens: 0,
    tokensPerSecond: null,
    relayBytes: 0,
    directBytes: 0,
    readableBytes: null,
    verdict: null,
    cosine: null,
    receipt: null,
    receiptHolds: null,
    transcript: null,
  };
}

/** Whether nothing more will happen to it. */
export function isSettled({ state }: Exchange): boolean {
  return state === 'done' || state === 'stopped' || state === 'failed';
}

/** A question, and the answers to it side by side: one goes on in the conversation. */
export interface Turn {
  readonly question: string;
  /** At least one. */
  readonly answers: readonly Exchange[];
  readonly picked: number;
}

/** The answer that the conversation goes on with. */
export function pickedOf({ answers, picked }: Turn): Exchange | undefined {
  return answers[picked] ?? answers[0];
}
