import { randomBytes, toBase64Url, utf8 } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { type Batch, type BatchMaker, type Closing, closed, ended, newBatch, openLineCount, viewOf } from './batch.ts';
import { type BatchFault, type BatchObjectView, type BatchRequest, type ListPage, listPage } from './batch-api.ts';
import { MAX_BATCHES, MAX_LISTED_ERRORS, MAX_OPEN_BATCHES } from './batch-limits.ts';
import type { OpenLine, SqlBatchStore } from './batch-store.ts';
import { newFileId, noFile } from './file-desk.ts';
import type { ListQuery, SqlFileStore } from './file-store.ts';
import { MAX_LINE_BYTES, readLine } from './read-line.ts';
import { scanLines } from './scan-lines.ts';

/** What came of a line, as its row in the output or error file tells it. */
export type LineOutcome =
  | {
      readonly response: { readonly status_code: number; readonly request_id: string; readonly body: unknown };
      readonly error: null;
    }
  | { readonly response: null; readonly error: { readonly code: string; readonly message: string } };

export interface BatchDeskPorts {
  readonly files: SqlFileStore;
  readonly batches: SqlBatchStore;
  readonly now: () => number;
  /** Most requests in a batch. */
  readonly mostLines: number;
  /** All of it is written, or nothing. */
  readonly transact: (act: () => void) => void;
  readonly log: (event: string, fields: Readonly<Record<string, string | number>>) => void;
}

/** Lines that are read, or closed unrun, in one step: between steps others have their turn. */
const LINES_A_STEP = 1_000;

/** Models that are told apart in one batch. Lines of further ones are run without a look at who is free. */
const MODELS_TOLD_APART = 50;

/** Whoever has too many batches may ask again then, ms: a short one is over by that time. */
const ASK_AGAIN_MS = 60_000;

/** An open output file does not expire: it is sealed at the end of its batch, whenever that is. */
const NEVER = Number.MAX_SAFE_INTEGER;

const CLOSING_FAULTS: Readonly<Record<Closing, { readonly code: string; readonly message: string }>> = {
  expired: {
    code: 'batch_expired',
    message: 'This request could not be executed before the completion window expired.',
  },
  cancelled: { code: 'batch_cancelled', message: 'This request was not executed: the batch was cancelled.' },
};

/** Batches of one owner, from their making to their end. What runs the lines asks here for them, and brings what came of them back. */
export class BatchDesk {
  readonly #ports: BatchDeskPorts;

  constructor(ports: BatchDeskPorts) {
    this.#ports = ports;
  }

  /** Throws `file_not_found`, `invalid_value` or `too_many_batches`. */
  create(request: BatchRequest, maker: BatchMaker): BatchObjectView {
    const { files, batches, now, log } = this.#ports;
    const input = files.find(request.inputFile);
    const at = now();
    if (input?.state !== 'ready' || input.expiresAt <= at) throw noFile();
    if (input.purpose !== 'batch') {
      throw new ShoalError('invalid_value', "The input file must have the purpose 'batch'.", {
        param: 'input_file_id',
      });
    }
    if (batches.open().length >= MAX_OPEN_BATCHES || batches.count() >= MAX_BATCHES) {
      throw new ShoalError(
        'too_many_batches',
        `At most ${MAX_OPEN_BATCHES} batches may be under way, and ${MAX_BATCHES} remembered.`,
        { retryAfterMs: ASK_AGAIN_MS },
      );
    }
    const { inputFile, endpoint, window, windowMs, metadata, outputKeptMs } = request;
    const batch = newBatch({
      id: `batch_${toBase64Url(randomBytes(16))}`,
      ...{ endpoint, inputFile, window, metadata, outputKeptMs },
      ...maker,
      createdAt: at,
      expiresAt: at + windowMs,
    });
    batches.save(batch);
    log('batch_created', { batch: batch.id });
    return viewOf(batch);
  }

  /** Throws `batch_not_found`. */
  find(id: string): BatchObjectView {
    return viewOf(this.#batch(id));
  }

  /** Throws `batch_not_found` for an `after` that is no batch. */
  list(query: Omit<ListQuery, 'order'>): ListPage<BatchObjectView> {
    if (query.after !== null) this.#batch(query.after);
    const { batches, more } = this.#ports.batches.list(query);
    return listPage(batches.map(viewOf), more);
  }

  /** Asked twice, it says the same. Throws `batch_not_found`, or `batch_over`. */
  cancel(id: string): BatchObjectView {
    const { batches, now, log } = this.#ports;
    const batch = this.#batch(id);
    if (batch.isOver && batch.status !== 'cancelled') {
      throw new ShoalError('batch_over', `The batch is ${batch.status}: there is nothing to cancel.`);
    }
    const cancelled = closed(batch, 'cancelled', now());
    if (cancelled !== batch) {
      batches.save(cancelled);
      log('batch_cancelling', { batch: id });
    }
    return viewOf(cancelled);
  }

  /** A file is about to be deleted: batches that still read it are cancelled, and say why. */
  inputGoes(file: string): void {
    const { batches, now } = this.#ports;
    for (const batch of batches.openWithInput(file)) {
      const fault: BatchFault = {
        code: 'input_file_deleted',
        line: null,
        message: 'The input file was deleted before all of its lines were run.',
        param: 'input_file_id',
      };
      batches.save({ ...closed(batch, 'cancelled', now()), scan: null, faults: listed(batch.faults, [fault]) });
    }
  }

  /** Batches whose lines may run now. */
  running(): Batch[] {
    return this.#ports.batches.open().filter(({ status }) => status === 'in_progress');
  }

  /**
   * Brings every batch on by a bounded piece of work: reads lines, closes what will not be run, ends what is done, forgets what is old. True when there is
   * more to do at once.
   */
  step(): boolean {
    const { files, batches, now, transact } = this.#ports;
    const at = now();
    for (const id of files.expired(at)) {
      transact(() => {
        this.inputGoes(id);
        files.remove(id);
      });
    }
    batches.forget(at);
    let more = false;
    for (const batch of batches.open()) {
      transact(() => {
        more = this.#bringOn(batch.expiresAt <= at ? closed(batch, 'expired', at) : batch, at) || more;
      });
    }
    return more;
  }

  /** The next instant at which {@link step} has something to do by the clock; null when nothing is kept. */
  nextDueAt(): number | null {
    const { files, batches } = this.#ports;
    const instants = [files.nextExpiryAt(), batches.nextDueAt()].filter((at) => at !== null);
    return instants.length === 0 ? null : Math.min(...instants);
  }

  /** When somebody has to work for these batches: at once while one is not over; null when nothing is kept. */
  wantsWorkAt(): number | null {
    return this.#ports.batches.open().length > 0 ? this.#ports.now() : this.nextDueAt();
  }

  /** The body of a line, as its file has it; null when the file is gone. */
  bodyOf(line: OpenLine): Readonly<Record<string, unknown>> | null {
    const batch = this.#ports.batches.find(line.batch);
    if (batch === null) return null;
    const bytes = this.#ports.files.readRange(batch.inputFile, line.offset, line.length);
    const read = readLine(bytes, line.number, batch.endpoint);
    return read.ok && read.request.customId === line.customId ? read.request.body : null;
  }

  /** What came of a line is written and counted, once: a second word changes nothing. */
  lineEnded(line: OpenLine, outcome: LineOutcome): void {
    this.#ports.transact(() => {
      const batch = this.#ports.batches.find(line.batch);
      if (batch === null || batch.isOver || !this.#ports.batches.close(line)) return;
      const succeeded = outcome.error === null && outcome.response.status_code === 200;
      this.#ports.batches.save(this.#written(batch, line.number, line.customId, outcome, succeeded));
    });
  }

  // ---- one step of one batch ---------------------------------------------------------------------------------------

  #bringOn(batch: Batch, at: number): boolean {
    const { batches, log } = this.#ports;
    if (batch.closing !== null) {
      const drained = this.#closeLines(batch, batch.closing);
      const isDone = openLineCount(drained) === 0;
      if (isDone) this.#end(drained, batch.closing, at);
      else batches.save(drained);
      return !isDone;
    }
    if (batch.scan !== null) {
      const read = this.#readLines(batch);
      if (read.scan !== null) {
        batches.save(read);
        return true;
      }
      const refused = refusalOf(read, this.#ports.mostLines);
      if (refused !== null) {
        this.#end({ ...read, faults: listed([refused], read.faults) }, 'failed', at);
        return false;
      }
      batches.save({ ...read, status: 'in_progress', inProgressAt: at });
      log('batch_in_progress', { batch: batch.id, lines: read.total, faulty: read.failed });
      return true;
    }
    if (openLineCount(batch) > 0) return false;
    this.#end(batch, 'completed', at);
    return false;
  }

  #readLines(batch: Batch): Batch {
    const { files, batches, mostLines } = this.#ports;
    let read = batch;
    if (read.scan === null) return read;
    let count = 0;
    const pieces = files.piecesFrom(batch.inputFile, read.scan.offset);
    for (const line of scanLines(pieces, read.scan, MAX_LINE_BYTES)) {
      if (count === LINES_A_STEP) return { ...read, scan: { offset: line.offset, line: line.number } };
      count++;
      read = { ...read, total: read.total + 1 };
      if (read.total > mostLines) break; // The batch fails: the rest need not be read.
      const parsed = readLine(line.bytes, line.number, batch.endpoint);
      if (!parsed.ok) {
        read = this.#refused(read, parsed.customId, parsed.fault);
        continue;
      }
      const { customId, model } = parsed.request;
      const isKnown = read.models.includes(model);
      const told = isKnown || read.models.length < MODELS_TOLD_APART ? model : '';
      const { number, offset, length } = line;
      if (!batches.addLine({ batch: batch.id, number, customId, model: told, offset, length })) {
        read = this.#refused(read, customId, {
          code: 'duplicate_custom_id',
          line: number,
          message: "The 'custom_id' of this line was used by an earlier one.",
          param: 'custom_id',
        });
      } else if (!read.models.includes(told)) read = { ...read, models: [...read.models, told] };
    }
    return { ...read, scan: null };
  }

  /** A line that is none: it has its row in the error file at once. */
  #refused(batch: Batch, customId: string | null, fault: BatchFault): Batch {
    const outcome = { response: null, error: fault };
    const written = this.#written(batch, fault.line ?? 0, customId, outcome, false);
    return { ...written, faults: listed(batch.faults, [fault]) };
  }

  #closeLines(batch: Batch, closing: Closing): Batch {
    const { batches } = this.#ports;
    let drained: Batch = { ...batch, scan: null };
    for (const line of batches.openLines(batch.id, LINES_A_STEP)) {
      batches.close(line);
      const outcome = { response: null, error: CLOSING_FAULTS[closing] };
      drained = this.#written(drained, line.number, line.customId, outcome, false);
    }
    return drained;
  }

  #end(batch: Batch, status: 'completed' | 'failed' | Closing, at: number): void {
    const { files, batches, log } = this.#ports;
    const named = { purpose: 'batch_output', expiresAt: at + batch.outputKeptMs } as const;
    if (batch.outputFile !== null) files.seal(batch.outputFile, { ...named, filename: `${batch.id}_output.jsonl` });
    if (batch.errorFile !== null) files.seal(batch.errorFile, { ...named, filename: `${batch.id}_error.jsonl` });
    const over = ended(batch, status, at);
    batches.save(over);
    batches.dropLines(batch.id);
    log('batch_ended', { batch: batch.id, status, completed: over.completed, failed: over.failed });
  }

  /** The row of a line in its file, and the batch with the line counted. */
  #written(batch: Batch, number: number, customId: string | null, outcome: LineOutcome, succeeded: boolean): Batch {
    const { files, now } = this.#ports;
    const id = (succeeded ? batch.outputFile : batch.errorFile) ?? newFileId();
    if (id !== batch.outputFile && id !== batch.errorFile) {
      files.create({ id, purpose: 'batch_output', filename: '', createdAt: now(), expiresAt: NEVER });
    }
    const row = { id: lineName(batch.id, number), custom_id: customId, ...outcome };
    files.writeLine(id, number, utf8(`${JSON.stringify(row)}\n`));
    return succeeded
      ? { ...batch, outputFile: id, completed: batch.completed + 1 }
      : { ...batch, errorFile: id, failed: batch.failed + 1 };
  }

  #batch(id: string): Batch {
    const batch = this.#ports.batches.find(id);
    if (batch === null) throw new ShoalError('batch_not_found', 'There is no batch with this id.');
    return batch;
  }
}

/** One name for a line, however often it is begun: what is paid for it is paid under this name. */
export function lineName(batch: string, number: number): string {
  return `batch_req_${batch.slice('batch_'.length)}_${number}`;
}

/** Why the file as a whole is no batch; null when it is one. */
function refusalOf({ total, failed }: Batch, mostLines: number): BatchFault | null {
  const fault = (code: string, message: string): BatchFault => ({ code, line: null, message, param: 'input_file_id' });
  if (total === 0) return fault('empty_file', 'The input file is empty.');
  if (total > mostLines) {
    return fault('too_many_lines', `The input file has more than ${mostLines} requests.`);
  }
  if (failed === total) return fault('no_valid_line', 'No line of the input file is a request of this batch.');
  return null;
}

function listed(before: readonly BatchFault[], more: readonly BatchFault[]): readonly BatchFault[] {
  return [...before, ...more].slice(0, MAX_LISTED_ERRORS);
}
