import { type Bytes, fromUtf8, utf8 } from '../../shared/bytes.ts';
import { type Batch, closed, ended, newBatch } from './batch.ts';
import { PIECE_BYTES } from './batch-limits.ts';
import type { SqlBatchStore } from './batch-store.ts';
import type { SqlFileStore } from './file-store.ts';

/** What the stores must do on every SQLite that they run on: workerd's, and Node's in tests. */
export interface StoreExamCase {
  readonly title: string;
  run(files: SqlFileStore, batches: SqlBatchStore): void;
}

function same(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
  }
}

function file(files: SqlFileStore, id: string, pieces: readonly Bytes[], expiresAt = 9_000): void {
  files.create({ id, purpose: 'batch', filename: '', createdAt: 1_000, expiresAt: 2_000 });
  for (const [number, piece] of pieces.entries()) files.writePiece(id, number, piece);
  files.seal(id, { purpose: 'batch', filename: `${id}.jsonl`, expiresAt });
}

function batch(id: string, inputFile = 'file-1'): Batch {
  return newBatch({
    id,
    inputFile,
    endpoint: '/v1/chat/completions',
    window: '24h',
    metadata: null,
    owner: 'me',
    payer: { account: 'A'.repeat(22), key: null, budget: null, allowance: null },
    origin: 'https://shoal.test',
    level: null,
    createdAt: 1_000,
    expiresAt: 5_000,
    outputKeptMs: 1_000,
  });
}

function lines(batches: SqlBatchStore, count: number): void {
  batches.save(batch('batch_1'));
  for (let number = 1; number <= count; number++) {
    const model = number % 2 === 0 ? 'even' : 'odd';
    batches.addLine({ batch: 'batch_1', number, customId: `c${number}`, model, offset: 10 * number, length: 9 });
  }
}

const numbersOf = (taken: readonly { readonly number: number }[]) => taken.map(({ number }) => number);

export const STORE_EXAM: readonly StoreExamCase[] = [
  {
    title: 'are empty at first',
    run(files, batches) {
      same(
        [files.find('x'), files.usage(), files.nextExpiryAt(), files.expired(1e15)],
        [null, { files: 0, bytes: 0 }, null, []],
      );
      same([batches.find('x'), batches.open(), batches.count(), batches.nextDueAt()], [null, [], 0, null]);
    },
  },
  {
    title: 'give back a file as it was written, by pieces and by ranges',
    run(files) {
      const first = new Uint8Array(PIECE_BYTES).fill(65);
      file(files, 'file-1', [first, utf8('tail')]);
      same(files.find('file-1'), {
        id: 'file-1',
        state: 'ready',
        purpose: 'batch',
        filename: 'file-1.jsonl',
        bytes: PIECE_BYTES + 4,
        createdAt: 1_000,
        expiresAt: 9_000,
      });
      const part = files.read('file-1', 0);
      same([part.bytes.byteLength, part.next], [PIECE_BYTES, 1]);
      same([fromUtf8(files.read('file-1', 1).bytes), files.read('file-1', 1).next], ['tail', null]);
      same(fromUtf8(files.readRange('file-1', PIECE_BYTES - 2, 4)), 'AAta');
      same(fromUtf8(files.readRange('file-1', PIECE_BYTES + 1, 100)), 'ail');
      same(fromUtf8(files.readRange('file-1', 3 * PIECE_BYTES, 1)), '');
    },
  },
  {
    title: 'sort a file that is written by line',
    run(files) {
      files.create({ id: 'file-1', purpose: 'batch_output', filename: '', createdAt: 1, expiresAt: 2 });
      const long = 'x'.repeat(PIECE_BYTES + 5);
      for (const [line, text] of [
        [7, 'seven'],
        [2, long],
        [3, 'three'],
      ] as const)
        files.writeLine('file-1', line, utf8(text));
      let text = '';
      for (let from: number | null = 0; from !== null; ) {
        const part = files.read('file-1', from);
        text += fromUtf8(part.bytes);
        from = part.next;
      }
      same([text === `${long}threeseven`, files.find('file-1')?.bytes], [true, text.length]);
    },
  },
  {
    title: 'list readable files in pages, and leave nothing of a deleted one',
    run(files) {
      for (const id of ['a', 'b', 'c']) file(files, id, [utf8(id)]);
      files.create({ id: 'open', purpose: 'batch', filename: '', createdAt: 1, expiresAt: 2_000 });
      const ids = (order: 'asc' | 'desc', after: string | null, purpose: string | null = null) =>
        files.list({ limit: 2, order, after, purpose }).files.map(({ id }) => id);
      same(
        [ids('asc', null), ids('asc', 'b'), ids('desc', null), ids('desc', 'b')],
        [['a', 'b'], ['c'], ['c', 'b'], ['a']],
      );
      same(
        [ids('asc', null, 'batch_output'), files.list({ limit: 3, order: 'asc', after: null, purpose: null }).more],
        [[], false],
      );
      files.remove('b');
      same([files.find('b'), files.read('b', 0).bytes.byteLength, files.usage()], [null, 0, { files: 3, bytes: 2 }]);
      same([files.expired(2_000), files.nextExpiryAt()], [['open'], 2_000]);
    },
  },
  {
    title: 'keep batches in their order, and forget only those that are over',
    run(_, batches) {
      const [one, two, three] = [batch('batch_1'), batch('batch_2', 'file-2'), batch('batch_3')];
      for (const each of [one, two, three]) batches.save(each);
      batches.save(closed(two, 'cancelled', 3_000));
      batches.save(ended(three, 'completed', 4_000));
      same(batches.find('batch_2')?.status, 'cancelling');
      same(
        batches.open().map(({ id }) => id),
        ['batch_1', 'batch_2'],
      );
      same(
        batches.openWithInput('file-1').map(({ id }) => id),
        ['batch_1'],
      );
      const page = batches.list({ limit: 2, after: null });
      same([page.batches.map(({ id }) => id), page.more], [['batch_3', 'batch_2'], true]);
      same(
        batches.list({ limit: 2, after: 'batch_2' }).batches.map(({ id }) => id),
        ['batch_1'],
      );
      same([batches.count(), batches.nextDueAt()], [3, 5_000]);
      batches.forget(1e15);
      same([batches.count(), batches.find('batch_3')], [2, null]);
    },
  },
  {
    title: 'take a line by name once',
    run(_, batches) {
      lines(batches, 1);
      same(batches.addLine({ batch: 'batch_1', number: 9, customId: 'c1', model: 'm', offset: 0, length: 0 }), false);
      same(batches.addLine({ batch: 'batch_2', number: 9, customId: 'c1', model: 'm', offset: 0, length: 0 }), true);
    },
  },
  {
    title: 'hand out lines of a model in order, and those that rest in their time',
    run(_, batches) {
      lines(batches, 6);
      const taken = batches.take('batch_1', 'odd', 0, 2);
      same(taken[0], { batch: 'batch_1', number: 1, customId: 'c1', model: 'odd', offset: 10, length: 9, attempts: 1 });
      same([numbersOf(taken), numbersOf(batches.take('batch_1', 'odd', 0, 9))], [[1, 3], [5]]);
      for (const line of taken) batches.putBack(line, 100, line.number === 3);
      same([numbersOf(batches.take('batch_1', 'odd', 99, 9)), batches.nextLineAt('batch_1')], [[], 0]);
      same(
        batches.take('batch_1', 'odd', 100, 9).map(({ attempts }) => attempts),
        [1, 2],
      );
    },
  },
  {
    title: 'close a line once, whatever came before',
    run(_, batches) {
      lines(batches, 3);
      batches.take('batch_1', 'odd', 0, 1);
      same(
        [batches.close({ batch: 'batch_1', number: 1 }), batches.close({ batch: 'batch_1', number: 1 })],
        [true, false],
      );
      same(batches.close({ batch: 'batch_1', number: 99 }), false);
      same(numbersOf(batches.openLines('batch_1', 9)), [2, 3]);
      batches.take('batch_1', 'even', 0, 1);
      same([batches.interruptAll(), batches.interruptAll()], [1, 0]);
      same(numbersOf(batches.take('batch_1', 'even', 0, 1)), [2]);
      batches.dropLines('batch_1');
      same([batches.openLines('batch_1', 9), batches.nextLineAt('batch_1')], [[], null]);
    },
  },
];
