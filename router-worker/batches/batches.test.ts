import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, fromUtf8, utf8 } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { settle, until } from '../testing/network.ts';
import { NodeSql } from '../testing/node-sql.ts';
import type { BatchRequest } from './batch-api.ts';
import { BatchDesk } from './batch-desk.ts';
import { MAX_ATTEMPTS, MAX_FILE_BYTES, PIECE_BYTES } from './batch-limits.ts';
import { SqlBatchStore } from './batch-store.ts';
import { FileDesk } from './file-desk.ts';
import { SqlFileStore } from './file-store.ts';
import { type LineCall, LineCrew, type LineReply } from './line-crew.ts';
import { MAX_LINE_BYTES } from './read-line.ts';
import { scanLines } from './scan-lines.ts';
import { STORE_EXAM } from './store-exam.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const MOST_LINES = 2_000;
const MAKER = {
  owner: 'me',
  payer: { account: 'A'.repeat(22), key: null, budget: null, allowance: 1_000_000 },
  origin: 'https://shoal.test',
  level: null,
};

type Answer = (call: LineCall, signal: AbortSignal) => Promise<Partial<LineReply> & { readonly status: number }>;

/** One owner's object without the object: its SQL outlives {@link restart}. */
class Owner {
  readonly store = new NodeSql();
  readonly calls: LineCall[] = [];
  answer: Answer = async ({ body }) => ({ status: 200, body: { echo: body } });
  free = 4;
  skewMs = 0;
  files!: FileDesk;
  desk!: BatchDesk;
  crew!: LineCrew;

  constructor() {
    this.restart();
  }

  now = () => Date.now() + this.skewMs;

  /** All that was in memory is lost. */
  restart(): void {
    const files = new SqlFileStore(this.store.sql);
    const batches = new SqlBatchStore(this.store.sql);
    const { now } = this;
    batches.interruptAll();
    this.files = new FileDesk(files, now);
    this.desk = new BatchDesk({
      files,
      batches,
      now,
      mostLines: MOST_LINES,
      transact: this.store.transact,
      log: () => undefined,
    });
    const calls = this.calls;
    this.crew = new LineCrew({
      desk: this.desk,
      batches,
      now,
      log: () => undefined,
      room: async () => {
        const taken = new Map<string, number>();
        const of = (model: string) => this.free - (taken.get(model) ?? 0);
        return { of, take: (model, lines) => void taken.set(model, (taken.get(model) ?? 0) + lines) };
      },
      run: async (call, signal) => {
        calls.push(call);
        const reply = await this.answer(call, signal);
        return { requestId: 'req', body: null, retryAfterMs: null, settled: Promise.resolve(), ...reply };
      },
    });
  }

  upload(content: string | Uint8Array): string {
    const bytes = typeof content === 'string' ? utf8(content) : content;
    const id = this.files.begin();
    for (let at = 0, number = 0; at < bytes.byteLength; at += PIECE_BYTES, number++) {
      this.files.write(id, number, new Uint8Array(bytes.subarray(at, at + PIECE_BYTES)));
    }
    return this.files.finish(id, { filename: 'in.jsonl', keptMs: DAY_MS }).id;
  }

  create(inputFile: string, part: Partial<BatchRequest> = {}): string {
    const request: BatchRequest = {
      inputFile,
      endpoint: '/v1/chat/completions',
      window: '24h',
      windowMs: DAY_MS,
      metadata: null,
      outputKeptMs: DAY_MS,
      ...part,
    };
    return this.desk.create(request, MAKER).id;
  }

  work(): Promise<number | null> {
    return this.crew.work(this.now() + 10_000);
  }

  text(file: string | null): string {
    if (file === null) return '';
    let text = '';
    for (let from: number | null = 0; from !== null; ) {
      const part = this.files.read(file, from);
      text += fromUtf8(part.bytes);
      from = part.next;
    }
    return text;
  }

  rows(file: string | null): Record<string, unknown>[] {
    return this.text(file)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

const line = (customId: string, part: object = {}) =>
  JSON.stringify({
    custom_id: customId,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'm', messages: [{ role: 'user', content: customId }] },
    ...part,
  });

const codeOf = (act: () => unknown) => {
  try {
    act();
    return null;
  } catch (cause) {
    return cause instanceof ShoalError ? cause.code : cause;
  }
};

describe('a batch', () => {
  it('runs every line once, and writes the rows in the order of the input', async () => {
    const owner = new Owner();
    owner.answer = async ({ body }) => {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
      return { status: 200, body: { echo: body } };
    };
    const names = Array.from({ length: 30 }, (_, i) => `line ${i}`);
    const input = owner.upload(names.map((name) => line(name)).join('\n'));
    const id = owner.create(input, { metadata: { project: 'x' } });
    expect(owner.desk.find(id)).toMatchObject({ status: 'validating', output_file_id: null, errors: null });
    await owner.work();
    const batch = owner.desk.find(id);
    expect(batch).toMatchObject({
      status: 'completed',
      request_counts: { total: 30, completed: 30, failed: 0 },
      error_file_id: null,
      errors: null,
      metadata: { project: 'x' },
    });
    expect(owner.rows(batch.output_file_id)).toEqual(
      names.map((name, i) => ({
        id: `batch_req_${id.slice(6)}_${i + 1}`,
        custom_id: name,
        response: {
          status_code: 200,
          request_id: 'req',
          body: { echo: { model: 'm', messages: [{ role: 'user', content: name }] } },
        },
        error: null,
      })),
    );
    expect(new Set(owner.calls.map(({ name }) => name)).size).toBe(30);
    expect(owner.files.find(batch.output_file_id!)).toMatchObject({
      purpose: 'batch_output',
      filename: `${id}_output.jsonl`,
    });
  });

  it('[F3] tells each bad line by its number, and runs the others', async () => {
    const owner = new Owner();
    const lines = [
      line('a'),
      'no JSON',
      line('b', { custom_id: undefined }),
      line('a'),
      line('c', { url: '/v1/embeddings' }),
      line('d', { method: 'GET' }),
      line('e', { body: 'text' }),
      '',
      line('f', { custom_id: 7 }),
      line('g', { priority: 1 }),
      line('h', { body: { model: 'm', messages: [], stream: true } }),
      '[]',
      '\r',
      line('i'),
    ];
    const id = owner.create(owner.upload(`\uFEFF${lines.join('\n')}`));
    await owner.work();
    const batch = owner.desk.find(id);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 12, completed: 2, failed: 10 } });
    const rows = owner.rows(batch.error_file_id);
    expect(rows.map(({ custom_id, error }) => [custom_id, (error as { code: string }).code])).toEqual([
      [null, 'invalid_json_line'],
      [null, 'missing_required_parameter'],
      ['a', 'duplicate_custom_id'],
      ['c', 'invalid_url'],
      ['d', 'invalid_method'],
      ['e', 'missing_required_parameter'],
      [null, 'invalid_custom_id'],
      ['g', 'unknown_parameter'],
      ['h', 'unsupported_parameter'],
      [null, 'invalid_json_line'],
    ]);
    expect(batch.errors?.data.map((fault) => fault.line)).toEqual([2, 3, 4, 5, 6, 7, 9, 10, 11, 12]);
    expect(rows[2]).toEqual({
      id: `batch_req_${id.slice(6)}_4`,
      custom_id: 'a',
      response: null,
      error: {
        code: 'duplicate_custom_id',
        line: 4,
        message: "The 'custom_id' of this line was used by an earlier one.",
        param: 'custom_id',
      },
    });
    expect(owner.rows(batch.output_file_id).map(({ custom_id }) => custom_id)).toEqual(['a', 'i']);
  });

  it('keeps what an endpoint refused in the error file, with its response', async () => {
    const owner = new Owner();
    owner.answer = async () => ({ status: 400, body: { error: { code: 'unknown_field', message: 'no' } } });
    const id = owner.create(owner.upload(line('a')));
    await owner.work();
    const { error_file_id, output_file_id, request_counts } = owner.desk.find(id);
    expect([output_file_id, request_counts]).toEqual([null, { total: 1, completed: 0, failed: 1 }]);
    expect(owner.rows(error_file_id)).toEqual([
      {
        id: `batch_req_${id.slice(6)}_1`,
        custom_id: 'a',
        response: {
          status_code: 400,
          request_id: 'req',
          body: { error: { code: 'unknown_field', message: 'no' } },
        },
        error: null,
      },
    ]);
    expect(owner.calls).toHaveLength(1);
  });

  it.each([
    ['is empty', '', 'empty_file'],
    ['has only line breaks', '\n'.repeat(1_000_000), 'empty_file'],
    ['has no line that is a request', 'a\nb\n', 'no_valid_line'],
    ['is no text', new Uint8Array([0xff, 0xfe, 0x0a, 0xff]), 'no_valid_line'],
    ['has one line that is longer than any request', 'x'.repeat(MAX_LINE_BYTES + 1), 'no_valid_line'],
  ])('whose file %s fails as a whole', async (_, content, code) => {
    const owner = new Owner();
    const id = owner.create(owner.upload(content));
    await owner.work();
    const batch = owner.desk.find(id);
    expect(batch).toMatchObject({ status: 'failed', output_file_id: null });
    expect(batch.errors?.data[0]).toMatchObject({ code, line: null });
    expect(batch.failed_at).not.toBe(null);
    expect(owner.calls).toEqual([]);
  });

  it('with more requests than allowed fails as a whole', async () => {
    const owner = new Owner();
    const id = owner.create(owner.upload(`${'x\n'.repeat(MOST_LINES)}x`));
    await owner.work();
    const { status, errors } = owner.desk.find(id);
    expect([status, errors?.data[0]?.code]).toEqual(['failed', 'too_many_lines']);
  });

  it('is not moved by keys that name the prototype', async () => {
    const owner = new Owner();
    const hostile = `{"custom_id":"__proto__","method":"POST","url":"/v1/chat/completions","body":{"__proto__":{"x":1},"model":"constructor"}}`;
    const names = ['constructor', 'toString'];
    const id = owner.create(owner.upload([hostile, ...names.map((name) => line(name))].join('\n')));
    await owner.work();
    expect(owner.rows(owner.desk.find(id).output_file_id).map(({ custom_id }) => custom_id)).toEqual([
      '__proto__',
      ...names,
    ]);
    expect(Object.keys(owner.calls[0]!.body)).toContain('__proto__');
    expect(({} as { x?: number }).x).toBe(undefined);
  });

  it('tries a line again whose tab was lost, but not for ever', async () => {
    const owner = new Owner();
    const lost = { status: 502, retryAfterMs: 0, body: { error: { code: 'tab_lost' } } };
    let failures = 2;
    owner.answer = async ({ body }) => {
      const isUnlucky = JSON.stringify(body).includes('unlucky');
      return isUnlucky || failures-- > 0 ? lost : { status: 200, body: {} };
    };
    const id = owner.create(owner.upload(`${line('lucky')}\n${line('unlucky')}`));
    owner.free = 1;
    await owner.work();
    const batch = owner.desk.find(id);
    expect(batch.request_counts).toEqual({ total: 2, completed: 1, failed: 1 });
    expect(owner.rows(batch.error_file_id)[0]).toMatchObject({ custom_id: 'unlucky', response: { status_code: 502 } });
    expect(owner.calls).toHaveLength(3 + MAX_ATTEMPTS);
    expect(new Set(owner.calls.map(({ name }) => name)).size).toBe(2);
  });

  it('loses no attempt while nobody is free', async () => {
    const owner = new Owner();
    let refusals = 3 * MAX_ATTEMPTS;
    owner.answer = async () =>
      refusals-- > 0
        ? { status: 503, retryAfterMs: 0, body: { error: { code: 'overloaded' } } }
        : { status: 200, body: {} };
    const id = owner.create(owner.upload(line('a')));
    await owner.work();
    expect(owner.desk.find(id).status).toBe('completed');
  });

  it('asks less and less often while nobody is free, and lets itself be called again', async () => {
    const owner = new Owner();
    owner.free = 0;
    const id = owner.create(owner.upload(line('a')));
    const again = await owner.work();
    expect([owner.desk.find(id).status, again !== null && again > owner.now(), owner.calls]).toEqual([
      'in_progress',
      true,
      [],
    ]);
    owner.free = 1;
    expect(await owner.work()).toBe(null);
    expect(owner.desk.find(id).status).toBe('completed');
  });

  it('runs no more lines at once than there is room for', async () => {
    const owner = new Owner();
    owner.free = 2;
    let running = 0;
    let most = 0;
    owner.answer = async () => {
      most = Math.max(most, ++running);
      owner.free--;
      await settle(2);
      running--;
      owner.free++;
      return { status: 200, body: {} };
    };
    const id = owner.create(owner.upload(Array.from({ length: 9 }, (_, i) => line(`${i}`)).join('\n')));
    await owner.work();
    expect([owner.desk.find(id).status, most]).toEqual(['completed', 2]);
  });
});

describe('a batch that does not run to its end', () => {
  /** Every line but the first three hangs until it is stopped. */
  async function hanging(part: Partial<BatchRequest> = {}) {
    const owner = new Owner();
    let answered = 0;
    let stopped = 0;
    owner.answer = async (_, signal) => {
      if (answered++ < 3) return { status: 200, body: {} };
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      stopped++;
      return { status: 499, body: null };
    };
    const input = owner.upload(Array.from({ length: 10 }, (_, i) => line(`${i}`)).join('\n'));
    const id = owner.create(input, part);
    const work = owner.work();
    await until(() => owner.desk.find(id).request_counts.completed === 3 && owner.calls.length === 7, 'four hang');
    return { owner, id, input, work, stopped: () => stopped };
  }

  const outcomes = (owner: Owner, id: string) => {
    const { output_file_id, error_file_id } = owner.desk.find(id);
    const codes = owner.rows(error_file_id).map(({ error }) => (error as { code: string }).code);
    return { written: owner.rows(output_file_id).length, codes };
  };

  it('[F4] is cancelled: what runs is stopped, what was written stays, the rest is told by line', async () => {
    const { owner, id, work, stopped } = await hanging();
    expect(owner.desk.cancel(id).status).toBe('cancelling');
    expect(owner.desk.cancel(id).status).toBe('cancelling');
    owner.crew.wake();
    await work;
    expect(owner.desk.find(id)).toMatchObject({
      status: 'cancelled',
      request_counts: { total: 10, completed: 3, failed: 7 },
    });
    expect(outcomes(owner, id)).toEqual({ written: 3, codes: Array(7).fill('batch_cancelled') });
    expect(stopped()).toBe(4);
    expect(owner.desk.cancel(id).status).toBe('cancelled');
  });

  it('[F4] expires at the end of its window', async () => {
    const { owner, id, work } = await hanging({ windowMs: 60_000 });
    owner.skewMs = 60_000;
    owner.crew.wake();
    await work;
    expect(owner.desk.find(id).status).toBe('expired');
    expect(outcomes(owner, id)).toEqual({ written: 3, codes: Array(7).fill('batch_expired') });
    expect(codeOf(() => owner.desk.cancel(id))).toBe('batch_over');
  });

  it('is cancelled when its input is deleted, and nothing of the input is left', async () => {
    const { owner, id, input, work } = await hanging();
    owner.store.transact(() => {
      owner.desk.inputGoes(input);
      owner.files.remove(input);
    });
    owner.crew.wake();
    await work;
    expect(owner.desk.find(id)).toMatchObject({
      status: 'cancelled',
      errors: { data: [{ code: 'input_file_deleted' }] },
    });
    expect(outcomes(owner, id).written).toBe(3);
    expect(owner.store.sql.exec('SELECT * FROM piece WHERE file = ?', input).toArray()).toEqual([]);
  });

  it('is cancelled when its input expires', async () => {
    const { owner, id, input, work } = await hanging({ windowMs: 2 * DAY_MS });
    owner.skewMs = DAY_MS;
    owner.crew.wake();
    await work;
    expect(owner.desk.find(id)).toMatchObject({
      status: 'cancelled',
      errors: { data: [{ code: 'input_file_deleted' }] },
    });
    expect(codeOf(() => owner.files.find(input))).toBe('file_not_found');
    expect(outcomes(owner, id).written).toBe(3);
  });

  it('reads on where it stood when it crashed in the middle of its file', async () => {
    const owner = new Owner();
    const texts = Array.from({ length: MOST_LINES }, (_, i) => (i % 500 === 7 ? 'bad' : line(`${i}`)));
    const id = owner.create(owner.upload(texts.join('\n')));
    expect(owner.desk.step()).toBe(true);
    const { status, request_counts } = owner.desk.find(id);
    expect([status, request_counts.total]).toEqual(['validating', 1_000]);
    owner.restart();
    while (owner.desk.step());
    expect(owner.desk.find(id)).toMatchObject({
      status: 'in_progress',
      request_counts: { total: MOST_LINES, completed: 0, failed: 4 },
      errors: { data: [{ line: 8 }, { line: 508 }, { line: 1008 }, { line: 1508 }] },
    });
  });

  it('goes on after a crash: lines that were in flight run again under their own names, and are counted once', async () => {
    const { owner, id } = await hanging();
    const before = owner.calls.map(({ name }) => name);
    const late = owner.crew;
    owner.restart();
    owner.answer = async () => ({ status: 200, body: {} });
    await owner.work();
    late.wake();
    expect(owner.desk.find(id)).toMatchObject({
      status: 'completed',
      request_counts: { total: 10, completed: 10, failed: 0 },
    });
    const again = owner.calls.slice(before.length).map(({ name }) => name);
    expect(again).toHaveLength(7);
    expect(new Set([...before, ...again]).size).toBe(10);
    const rows = owner.rows(owner.desk.find(id).output_file_id);
    expect(rows.map(({ custom_id }) => custom_id)).toEqual(Array.from({ length: 10 }, (_, i) => `${i}`));
  });

  it('[F2] has each line once, whenever it crashes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 6 }), async (crashes) => {
        const owner = new Owner();
        const id = owner.create(owner.upload(Array.from({ length: 12 }, (_, i) => line(`${i}`)).join('\n')));
        for (const turns of crashes) {
          void owner.work();
          await settle(turns);
          owner.restart();
        }
        await owner.work();
        const { status, request_counts, output_file_id } = owner.desk.find(id);
        expect([status, request_counts]).toEqual(['completed', { total: 12, completed: 12, failed: 0 }]);
        expect(owner.rows(output_file_id)).toHaveLength(12);
      }),
      { numRuns: 30 },
    );
  });
});

describe('files', () => {
  it('[F1] are unreadable before they are whole, and gone when deleted', () => {
    const owner = new Owner();
    const open = owner.files.begin();
    owner.files.write(open, 0, utf8('secret'));
    expect(codeOf(() => owner.files.find(open))).toBe('file_not_found');
    expect(codeOf(() => owner.files.read(open, 0))).toBe('file_not_found');
    const id = owner.upload('secret');
    owner.files.remove(id);
    owner.files.abandon(open);
    expect(codeOf(() => owner.files.find(id))).toBe('file_not_found');
    expect(owner.store.sql.exec('SELECT * FROM piece').toArray()).toEqual([]);
  });

  it('expire, and so does an upload that stopped', async () => {
    const owner = new Owner();
    const id = owner.upload('x');
    owner.files.begin();
    owner.skewMs = DAY_MS;
    expect(codeOf(() => owner.files.find(id))).toBe('file_not_found');
    await owner.work();
    expect(owner.store.sql.exec('SELECT * FROM file').toArray()).toEqual([]);
    expect(owner.desk.nextDueAt()).toBe(null);
  });

  it('of several pieces come back as they were', () => {
    const owner = new Owner();
    const content = new Uint8Array(2 * PIECE_BYTES + 17).map((_, i) => i * 7);
    const id = owner.upload(content);
    const parts: Uint8Array[] = [];
    for (let from: number | null = 0; from !== null; ) {
      const part = owner.files.read(id, from);
      parts.push(part.bytes);
      from = part.next;
    }
    expect(Buffer.compare(concatBytes(...parts), content)).toBe(0);
  });

  it('may not be longer than the limit, nor have holes', () => {
    const owner = new Owner();
    const id = owner.files.begin();
    const piece = new Uint8Array(PIECE_BYTES);
    for (let number = 0; number < MAX_FILE_BYTES / PIECE_BYTES; number++) owner.files.write(id, number, piece);
    expect(codeOf(() => owner.files.write(id, MAX_FILE_BYTES / PIECE_BYTES, new Uint8Array(1)))).toBe('file_too_large');
    expect(codeOf(() => owner.files.write(owner.files.begin(), 1, piece))).toBe('internal_error');
  });

  it('and batches are listed in pages', () => {
    const owner = new Owner();
    const files = [1, 2, 3].map((n) => owner.upload(line(`${n}`)));
    const page = (after: string | null, order: 'asc' | 'desc') =>
      owner.files.list({ limit: 2, order, after, purpose: null });
    expect(page(null, 'asc')).toMatchObject({ first_id: files[0], last_id: files[1], has_more: true });
    expect(page(files[1]!, 'asc')).toMatchObject({ data: [{ id: files[2] }], has_more: false });
    expect(page(null, 'desc').data.map(({ id }) => id)).toEqual([files[2], files[1]]);
    expect(codeOf(() => page('file-none', 'asc'))).toBe('file_not_found');
    const batches = files.map((file) => owner.create(file));
    const first = owner.desk.list({ limit: 2, after: null });
    expect([first.data.map(({ id }) => id), first.has_more]).toEqual([[batches[2], batches[1]], true]);
    expect(owner.desk.list({ limit: 2, after: first.last_id })).toMatchObject({
      data: [{ id: batches[0] }],
      has_more: false,
    });
    expect(codeOf(() => owner.desk.list({ limit: 2, after: 'batch_none' }))).toBe('batch_not_found');
    expect(owner.files.list({ limit: 9, order: 'asc', after: null, purpose: 'batch_output' }).data).toEqual([]);
  });
});

describe('the SQL stores on the SQLite of Node', () => {
  it.each(STORE_EXAM)('$title', ({ run }) => {
    const { sql } = new NodeSql();
    run(new SqlFileStore(sql), new SqlBatchStore(sql));
  });
});

describe('lines', () => {
  it('are found whatever the borders of the pieces', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ maxLength: 6 }).map((text) => text.replaceAll(/[\n\r]/g, '')),
          { maxLength: 12 },
        ),
        fc.integer({ min: 1, max: 7 }),
        (texts, size) => {
          const file = utf8(texts.join('\n'));
          const pieces: Uint8Array<ArrayBuffer>[] = [];
          for (let at = 0; at < file.byteLength; at += size) pieces.push(file.slice(at, at + size));
          const found = [...scanLines(pieces, { offset: 0, line: 1 }, 1000)];
          expect(found.map(({ number, bytes }) => [number, fromUtf8(bytes!)])).toEqual(
            texts.map((text, i) => [i + 1, text]).filter(([, text]) => text !== ''),
          );
          for (const { offset, length, bytes } of found) expect(file.slice(offset, offset + length)).toEqual(bytes);
        },
      ),
    );
  });
});
