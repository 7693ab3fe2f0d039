import { newRecord, type Standing, type TabRecord } from '../../router-worker/record/record.ts';
import type { Prompt } from './demand.ts';
import type { Question } from './network-questions.ts';
import { CLASS, type PlayedTask, type Written } from './played-task.ts';
import type { Kind, Told } from './tab-kinds.ts';
import type { KindOutcome } from './trust-figures.ts';

/** One key, and what the router knows of it. */
export interface Identity {
  /** Its `tab` is the key's name, and stays. */
  record: TabRecord;
  /** By the record, as it was seen last. */
  standing: Standing;
  /** Micro-credits held back. */
  escrow: number;
  answersSinceCaught: number;
  badSinceCaught: number;
  checkedSinceCaught: number;
}

export function newIdentity(name: string, at: number): Identity {
  return {
    record: newRecord(name, CLASS, at),
    standing: 'new',
    escrow: 0,
    answersSinceCaught: 0,
    badSinceCaught: 0,
    checkedSinceCaught: 0,
  };
}

/** A device, under one key at a time. */
export interface SimTab {
  readonly index: number;
  readonly kind: Kind;
  /** Tabs that act as one; null for those that act alone. */
  readonly group: number | null;
  readonly network: string;
  readonly guard: false;
  readonly owner: null;
  /** Tokens a millisecond. */
  readonly speed: number;
  readonly outcome: KindOutcome;
  identity: Identity;
  job: Job | null;
  /** Checks that it was drawn for while it worked, in order. */
  readonly due: Case[];
  /** Place in the list of free tabs of its standing; -1 when it works. */
  place: number;
}

/** A tab under the key that it had when it took part. */
export interface Seat {
  readonly tab: SimTab;
  readonly identity: Identity;
}

export interface Participant extends Seat {
  readonly role: 'answer' | 'check';
  /** Null for a check that did not come to its end. */
  readonly written: Written | null;
}

/** An answer and its checks. */
export interface Case {
  readonly task: PlayedTask;
  readonly prompt: Prompt;
  /** Tokens that the answer is paid for. */
  readonly paidTokens: number;
  /** Null for a user's task. */
  readonly question: Question | null;
  readonly begunAt: number;
  /** The answer first, then the checks. */
  readonly participants: Participant[];
  /** The candidates, in the order of the draw. */
  drawn: readonly Seat[];
  /** 0 … 1: by it groups that see the case agree whether they slander it. */
  readonly slanderDraw: number;
}

export type Job =
  | {
      readonly does: 'answer';
      readonly prompt: Prompt;
      readonly identity: Identity;
      readonly told: Told;
      readonly question: Question | null;
      readonly begunAt: number;
    }
  | { readonly does: 'check'; readonly of: Case; readonly identity: Identity; readonly told: Told | null };

export type AnswerJob = Extract<Job, { does: 'answer' }>;
export type CheckJob = Extract<Job, { does: 'check' }>;
