import type { Level } from '../../shared/protocol/level.ts';
import type { Payer } from '../billing/grant.ts';
import type { BatchEndpoint, BatchFault, BatchObjectView, BatchStatus } from './batch-api.ts';
import { BATCH_KEPT_MS } from './batch-limits.ts';
import type { ScanCursor } from './scan-lines.ts';

/** Why lines that were not run are closed all the same. */
export type Closing = 'expired' | 'cancelled';

/** Who made a batch, and how. */
export interface BatchMaker {
  readonly owner: string;
  /** Who pays for its lines. */
  readonly payer: Payer;
  /** Where the router is, as its owner called it: tasks name it in their receipts. */
  readonly origin: string;
  /** Least level of every line, from the header of whoever made the batch. */
  readonly level: Level | null;
  /** The session that every line is part of, as its owner names it: `sess_…`; null: none but what a line names. Left out by older versions. */
  readonly session?: string | null;
}

/** A batch, as it is stored. Instants in ms. */
export interface Batch extends BatchMaker {
  readonly id: string;
  readonly endpoint: BatchEndpoint;
  readonly inputFile: string;
  readonly window: string;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly status: BatchStatus;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly inProgressAt: number | null;
  readonly finalizingAt: number | null;
  readonly cancellingAt: number | null;
  /** When it was over, however. */
  readonly endedAt: number | null;
  readonly isOver: boolean;
  /** When it wants to be looked at: at its deadline, or to be forgotten. */
  readonly dueAt: number;
  readonly closing: Closing | null;
  readonly faults: readonly BatchFault[];
  /** Where validation stands; null when the whole file was read. */
  readonly scan: ScanCursor | null;
  /** Models that its lines name, as many as are told apart. */
  readonly models: readonly string[];
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
  /** Named from the first row on. */
  readonly outputFile: string | null;
  readonly errorFile: string | null;
  /** How long both are kept when the batch is over, ms. */
  readonly outputKeptMs: number;
}

export type NewBatch = Pick<
  Batch,
  | 'id'
  | 'endpoint'
  | 'inputFile'
  | 'window'
  | 'metadata'
  | keyof BatchMaker
  | 'createdAt'
  | 'expiresAt'
  | 'outputKeptMs'
>;

export function newBatch(named: NewBatch): Batch {
  return {
    ...named,
    status: 'validating',
    inProgressAt: null,
    finalizingAt: null,
    cancellingAt: null,
    endedAt: null,
    isOver: false,
    dueAt: named.expiresAt,
    closing: null,
    faults: [],
    scan: { offset: 0, line: 1 },
    models: [],
    total: 0,
    completed: 0,
    failed: 0,
    outputFile: null,
    errorFile: null,
  };
}

/** Lines that have no outcome yet. */
export function openLineCount({ total, completed, failed }: Batch): number {
  return total - completed - failed;
}

/** Its lines that were not run are closed from now on. What is over, or closes already, stays as it is. */
export function closed(batch: Batch, closing: Closing, at: number): Batch {
  if (batch.isOver || batch.closing !== null) return batch;
  return closing === 'cancelled'
    ? { ...batch, closing, status: 'cancelling', cancellingAt: at }
    : { ...batch, closing, status: 'finalizing', finalizingAt: at };
}

/** The end of a batch whose lines all have their outcome. */
export function ended(batch: Batch, status: 'completed' | 'failed' | Closing, at: number): Batch {
  return {
    ...batch,
    status,
    finalizingAt: status === 'completed' ? at : batch.finalizingAt,
    endedAt: at,
    isOver: true,
    dueAt: at + BATCH_KEPT_MS,
    scan: null,
  };
}

/** As OpenAI's clients read it. */
export function viewOf(batch: Batch): BatchObjectView {
  const { status, endedAt, faults, isOver } = batch;
  const endedAs = (ending: BatchStatus) => (status === ending ? seconds(endedAt) : null);
  return {
    id: batch.id,
    object: 'batch',
    endpoint: batch.endpoint,
    errors: faults.length === 0 ? null : { object: 'list', data: faults },
    input_file_id: batch.inputFile,
    completion_window: batch.window,
    status,
    output_file_id: isOver ? batch.outputFile : null,
    error_file_id: isOver ? batch.errorFile : null,
    created_at: seconds(batch.createdAt),
    in_progress_at: seconds(batch.inProgressAt),
    expires_at: seconds(batch.expiresAt),
    finalizing_at: seconds(batch.finalizingAt),
    completed_at: endedAs('completed'),
    failed_at: endedAs('failed'),
    expired_at: endedAs('expired'),
    cancelling_at: seconds(batch.cancellingAt),
    cancelled_at: endedAs('cancelled'),
    request_counts: { total: batch.total, completed: batch.completed, failed: batch.failed },
    metadata: batch.metadata,
  };
}

function seconds(at: number): number;
function seconds(at: number | null): number | null;
function seconds(at: number | null): number | null {
  return at === null ? null : Math.floor(at / 1000);
}
