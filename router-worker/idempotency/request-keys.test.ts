import { describe, expect, it } from 'vitest';
import { utf8 } from '../../shared/bytes.ts';
import { MAX_MAP_MS } from '../../shared/limits.ts';
import { NodeSql } from '../testing/node-sql.ts';
import { KEY_KEPT_MS, KEY_RUNS_MS, MAX_KEPT_RESPONSE_BYTES, RequestKeys } from './request-keys.ts';

const HEADERS = { 'content-type': 'application/json' };

function open(most?: number) {
  const clock = { at: 1000 };
  return { clock, keys: new RequestKeys(new NodeSql().sql, () => clock.at, most) };
}

describe('idempotency keys', () => {
  it('let the first run, name its task to others, and give its response again', () => {
    const { keys } = open();
    expect(keys.admit('k', 'a')).toEqual({ do: 'run' });
    expect(keys.admit('k', 'a')).toEqual({ do: 'refuse', why: 'running', task: null });
    keys.named('k', 'task_1');
    expect(keys.admit('k', 'a')).toEqual({ do: 'refuse', why: 'running', task: 'task_1' });
    expect(keys.admit('k', 'b')).toEqual({ do: 'refuse', why: 'other_body' });
    keys.succeeded('k', { status: 200, headers: HEADERS, body: utf8('answer') });
    expect(keys.admit('k', 'a')).toEqual({
      do: 'replay',
      task: 'task_1',
      response: { status: 200, headers: HEADERS, body: utf8('answer') },
    });
    expect(keys.admit('k', 'b')).toEqual({ do: 'refuse', why: 'other_body' });
    expect(keys.admit('other', 'a')).toEqual({ do: 'run' });
  });

  it('[F5] belong to a request for as long as the longest document may take', () => {
    const { keys, clock } = open();
    keys.admit('k', 'a');
    clock.at += MAX_MAP_MS;
    expect(keys.admit('k', 'a')).toMatchObject({ do: 'refuse', why: 'running' });
  });

  it('are free again after a failure, but not after a success', () => {
    const { keys } = open();
    keys.admit('k', 'a');
    keys.failed('k');
    expect(keys.admit('k', 'b')).toEqual({ do: 'run' });
    keys.succeeded('k', { status: 200, headers: {}, body: null });
    keys.failed('k');
    expect(keys.admit('k', 'b')).toMatchObject({ do: 'replay', response: { body: null } });
  });

  it('keep no text that is too long', () => {
    const { keys } = open();
    keys.admit('k', 'a');
    keys.succeeded('k', { status: 200, headers: {}, body: new Uint8Array(MAX_KEPT_RESPONSE_BYTES + 1) });
    expect(keys.admit('k', 'a')).toMatchObject({ do: 'replay', response: { body: null } });
  });

  it('are forgotten in time, those of requests that never ended too', () => {
    const { keys, clock } = open();
    keys.admit('lost', 'a');
    keys.admit('kept', 'a');
    keys.succeeded('kept', { status: 200, headers: {}, body: null });
    clock.at += KEY_RUNS_MS;
    expect([keys.admit('lost', 'a').do, keys.admit('kept', 'a').do]).toEqual(['run', 'replay']);
    keys.failed('lost');
    clock.at += KEY_KEPT_MS;
    keys.forget(clock.at);
    expect(keys.nextDueAt()).toBe(null);
  });

  it('are bounded: the oldest that ended go first', () => {
    const { keys } = open(10);
    keys.admit('running', 'a');
    keys.admit('oldest', 'a');
    keys.succeeded('oldest', { status: 200, headers: {}, body: null });
    for (let i = 0; i < 9; i++) keys.admit(`k${i}`, 'a');
    expect([keys.admit('running', 'a').do, keys.admit('k0', 'a').do]).toEqual(['refuse', 'refuse']);
    expect(keys.admit('oldest', 'a').do).toBe('run');
  });
});
