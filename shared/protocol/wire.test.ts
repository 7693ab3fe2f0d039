import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bytes, concatBytes, utf8 } from '../bytes.ts';
import { decodePacket, encodePacket } from './packets.ts';
import { encodeEvent, encodeFrameRecord, RecordReader, type StreamRecord } from './stream-records.ts';
import { decodeRouterToTab, decodeTabToRouter, encodeMessage } from './tab-socket.ts';
import { completionId, receiptId, tailOf, taskId } from './task-ids.ts';

function streamOf(chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

async function readAll(chunks: readonly Uint8Array[]): Promise<StreamRecord[]> {
  const reader = new RecordReader(streamOf(chunks));
  const records: StreamRecord[] = [];
  for (let record = await reader.next(); record !== null; record = await reader.next()) records.push(record);
  return records;
}

describe('records of a task’s stream', () => {
  const records = [
    encodeEvent({ t: 'waiting', ahead: 2, etaMs: 900 }),
    encodeFrameRecord(utf8('sealed')),
    encodeEvent({ t: 'accepted', promptTokens: 9 }),
    encodeFrameRecord(new Uint8Array(0)),
  ];
  const expected = [
    { event: { t: 'waiting', ahead: 2, etaMs: 900 } },
    { frame: utf8('sealed') },
    { event: { t: 'accepted', promptTokens: 9 } },
    { frame: new Uint8Array(0) },
  ];

  it('are found again wherever the chunks were cut', async () => {
    const whole = concatBytes(...records);
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.integer({ min: 1, max: whole.byteLength - 1 }), { maxLength: 12 }),
        async (cuts) => {
          const borders = [0, ...cuts.sort((a, b) => a - b), whole.byteLength];
          const chunks = borders.slice(1).map((border, i) => whole.slice(borders[i], border));
          expect(await readAll(chunks)).toEqual(expected);
        },
      ),
    );
  });

  it('that are cut, of an unknown type, too long, or not JSON are refused', async () => {
    const bad: Bytes[] = [
      concatBytes(...records)
        .slice(0, -3)
        .slice(0, 20),
      new Uint8Array([9, 0, 0, 0, 0]),
      new Uint8Array([1, 255, 255, 255, 255, 1]),
      concatBytes(new Uint8Array([1, 0, 0, 0, 2]), utf8('no')),
      concatBytes(new Uint8Array([1, 0, 0, 0, 2]), utf8('{}')),
    ];
    for (const bytes of bad) await expect(readAll([bytes])).rejects.toMatchObject({ code: 'integrity_failed' });
  });
});

describe('packets', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('envelope', 'frame', 'shown', 'stop'),
        fc.integer({ min: 1, max: 0xffff_ffff }),
        fc.uint8Array({ maxLength: 99 }),
        (kind, number, payload) => {
          expect(decodePacket(encodePacket(kind, number, payload))).toMatchObject({ kind, number, payload });
        },
      ),
    );
  });

  it('of no kind, or cut, are refused', () => {
    for (const bytes of [[], [0, 0, 0, 0, 1], [5, 0, 0, 0, 1], [2, 0, 0], [255, 1, 2, 3, 4, 5]]) {
      expect(() => decodePacket(new Uint8Array(bytes))).toThrow('agreed shape');
    }
  });
});

describe('[E3] messages on a tab’s socket', () => {
  it('keep their form within a version', () => {
    // Frozen: a change here is a change of the protocol.
    const frozen = [
      '{"t":"accepted","number":7,"promptTokens":3}',
      '{"t":"bye"}',
      '{"t":"ready","models":[{"model":"m","variant":"q8_0","class":"cls_AAAAAAAAAAAAAAAAAAAAAA","decodeSpeed":null}],"direct":true,"checkOnly":false}',
    ];
    for (const text of frozen) expect(encodeMessage(decodeTabToRouter(text))).toBe(text);
    for (const text of [
      '{"t":"stop","number":7}',
      '{"t":"resend","number":7,"from":0}',
      '{"t":"keysWanted","count":9}',
    ]) {
      expect(encodeMessage(decodeRouterToTab(text))).toBe(text);
    }
  });

  it('may carry fields that a later version added, and lose them', () => {
    expect(decodeTabToRouter('{"t":"bye","later":1}')).toEqual({ t: 'bye' });
  });

  it('of an unknown type, of wrong types, too long or not JSON are refused', () => {
    const bad = [
      '',
      'null',
      '[]',
      '{"t":"pwn"}',
      '{"t":"accepted"}',
      '{"t":"accepted","number":"7","promptTokens":3}',
      '{"t":"accepted","number":7,"promptTokens":-1}',
      'x'.repeat(300_000),
    ];
    for (const text of bad) expect(() => decodeTabToRouter(text), text.slice(0, 40)).toThrow('refused');
  });

  it('never throw anything but our own error, whatever a tab sends', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        try {
          decodeTabToRouter(text);
        } catch (cause) {
          expect((cause as { code?: string }).code).toBe('invalid_value');
        }
      }),
    );
  });
});

describe('ids of a task', () => {
  const tail = 'A'.repeat(46);
  it('are three names of one thing', () => {
    for (const id of [taskId(tail), receiptId(tail), completionId(tail)]) expect(tailOf(id)).toBe(tail);
  });
  it.each(['', tail, 'task_', 'task_../../x', `task_${'A'.repeat(45)}`, `job_${tail}`, `task_${tail}\n`])(
    'are not %j',
    (id) => {
      expect(() => tailOf(id)).toThrow('no task with this id');
    },
  );
});
