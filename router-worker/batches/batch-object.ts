import { DurableObject } from 'cloudflare:workers';
import type { Bytes } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { Env } from '../env.ts';
import type { Reply } from '../session/session-object.ts';
import type { BatchMaker } from './batch.ts';
import type { BatchObjectView, BatchRequest, FileObject, ListPage } from './batch-api.ts';
import { BatchDesk } from './batch-desk.ts';
import { MAX_BATCH_LINES } from './batch-limits.ts';
import { SqlBatchStore } from './batch-store.ts';
import { FileDesk } from './file-desk.ts';
import { type FilePart, type ListQuery, SqlFileStore } from './file-store.ts';
import { LineCrew } from './line-crew.ts';
import { roomFor } from './room-for.ts';
import { runLine } from './run-line.ts';

/** Longest one alarm works on lines, ms. The platform ends one after 15 minutes; the next follows at once. */
const SHIFT_MS = 5 * 60 * 1000;

/** If the object dies in the middle of its work, it is woken again after this time, ms. */
const WATCHDOG_MS = 20_000;

/** After a fault of our own, ms: long enough not to spin on a lasting one. */
const RETRY_MS = 10_000;

interface Opened {
  readonly files: FileDesk;
  readonly batches: BatchDesk;
  readonly crew: LineCrew;
}

/** Doorman of one owner's files and batches: storage, alarm, RPC. Content passes in pieces, so that no call holds a file. */
export class BatchObject extends DurableObject<Env> {
  #opened: Opened | null = null;
  /** An alarm is at work: it arms the next one itself. */
  #isWorking = false;

  beginFile(): Reply<string> {
    return this.#change(({ files }) => files.begin());
  }

  writeFile(id: string, number: number, data: Uint8Array): Reply<null> {
    return this.#reply(({ files }) => {
      files.write(id, number, data.slice() as Bytes);
      return null;
    });
  }

  finishFile(id: string, named: { readonly filename: string; readonly keptMs: number }): Reply<FileObject> {
    return this.#change(({ files }) => files.finish(id, named));
  }

  abandonFile(id: string): Reply<null> {
    return this.#reply(({ files }) => {
      files.abandon(id);
      return null;
    });
  }

  file(id: string): Reply<FileObject> {
    return this.#reply(({ files }) => files.find(id));
  }

  listFiles(query: ListQuery & { readonly purpose: string | null }): Reply<ListPage<FileObject>> {
    return this.#reply(({ files }) => files.list(query));
  }

  readFile(id: string, from: number): Reply<FilePart> {
    return this.#reply(({ files }) => files.read(id, from));
  }

  /** Batches that still read the file are cancelled. */
  removeFile(id: string): Reply<null> {
    return this.#change(({ files, batches }) => {
      files.find(id);
      this.ctx.storage.transactionSync(() => {
        batches.inputGoes(id);
        files.remove(id);
      });
      return null;
    });
  }

  createBatch(request: BatchRequest, maker: BatchMaker): Reply<BatchObjectView> {
    return this.#change(({ batches }) => batches.create(request, maker));
  }

  batch(id: string): Reply<BatchObjectView> {
    return this.#reply(({ batches }) => batches.find(id));
  }

  listBatches(query: Omit<ListQuery, 'order'>): Reply<ListPage<BatchObjectView>> {
    return this.#reply(({ batches }) => batches.list(query));
  }

  cancelBatch(id: string): Reply<BatchObjectView> {
    return this.#change(({ batches }) => batches.cancel(id));
  }

  override async alarm(): Promise<void> {
    // If this object dies, what is in flight is lost, and this alarm finds the lines waiting again.
    await this.ctx.storage.setAlarm(Date.now() + WATCHDOG_MS);
    this.#isWorking = true;
    try {
      const { crew, batches } = this.#open();
      const again = await crew.work(Date.now() + SHIFT_MS);
      await this.#arm(earlier(again, batches.nextDueAt()));
    } catch (cause) {
      console.error(JSON.stringify({ event: 'batch_shift_failed', reason: String(cause) }));
      await this.ctx.storage.setAlarm(Date.now() + RETRY_MS);
    } finally {
      this.#isWorking = false;
    }
  }

  async #arm(at: number | null): Promise<void> {
    if (at === null) await this.ctx.storage.deleteAlarm();
    else await this.ctx.storage.setAlarm(at);
  }

  #open(): Opened {
    if (this.#opened !== null) return this.#opened;
    const { storage } = this.ctx;
    const now = () => Date.now();
    const log = (event: string, fields: Readonly<Record<string, string | number>>) =>
      console.log(JSON.stringify({ event, ...fields }));
    const fileStore = new SqlFileStore(storage.sql);
    const store = new SqlBatchStore(storage.sql);
    const transact = (act: () => void) => storage.transactionSync(act);
    const interrupted = store.interruptAll();
    if (interrupted > 0) log('batch_lines_interrupted', { lines: interrupted });
    const batches = new BatchDesk({
      files: fileStore,
      batches: store,
      now,
      mostLines: MAX_BATCH_LINES,
      transact,
      log,
    });
    const crew = new LineCrew({
      desk: batches,
      batches: store,
      run: (call, signal) => runLine(this.env, call, signal),
      room: () => roomFor(this.env),
      now,
      log,
    });
    this.#opened = { files: new FileDesk(fileStore, now), batches, crew };
    return this.#opened;
  }

  /** A call that gives something to do. */
  #change<T>(act: (opened: Opened) => T): Reply<T> {
    return this.#reply((opened) => {
      const value = act(opened);
      void this.#wakeInTime(opened); // The write of the alarm is part of the call's own commit.
      return value;
    });
  }

  #reply<T>(act: (opened: Opened) => T): Reply<T> {
    try {
      return { ok: true, value: act(this.#open()) };
    } catch (cause) {
      const error = ShoalError.from(cause);
      if (error.code === 'internal_error') {
        console.error(JSON.stringify({ event: 'batches_failed', reason: String(cause) }));
      }
      return { ok: false, error: error.toWire() };
    }
  }

  async #wakeInTime({ batches, crew }: Opened): Promise<void> {
    if (this.#isWorking) return crew.wake();
    const at = batches.wantsWorkAt();
    const armed = await this.ctx.storage.getAlarm();
    if (at !== null && (armed === null || at < armed)) await this.ctx.storage.setAlarm(at);
  }
}

function earlier(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}
