import { describe, expect, it } from 'vitest';
import type { ServedVariant } from '../../shared/classes/catalogue.ts';
import { BatchRoom } from './room-for.ts';

const variant = (model: string, id: string) =>
  ({ model: { id: model }, variant: { id }, class: `${model}-${id}` }) as ServedVariant;
const VARIANTS = [variant('m', 'q8'), variant('m', 'q4'), variant('other', 'q8')];
const tabs = (id: string, count: number, free: number) => ({ classes: id.split(' '), tabs: count, free, checkers: 0 });
const roomOf = (name: string, kinds: Parameters<typeof tabs>[]) =>
  new BatchRoom(
    VARIANTS,
    kinds.map((kind) => tabs(...kind)),
  ).of(name);

describe('the room for lines of a batch', () => {
  it('is what is free, of all variants that the name means', () => {
    const kinds: Parameters<typeof tabs>[] = [
      ['m-q8', 1, 1],
      ['m-q4', 2, 1],
      ['other-q8', 3, 3],
    ];
    expect(['m', 'm:q4', 'other', 'm:q8'].map((name) => roomOf(name, kinds))).toEqual([2, 1, 3, 1]);
  });

  it('leaves one tab in four to users', () => {
    expect([4, 3, 2, 1, 0].map((free) => roomOf('m', [['m-q8', 4, free]]))).toEqual([3, 2, 1, 0, 0]);
    expect(roomOf('m', [['m-q8', 9, 9]])).toBe(7);
  });

  it('is none where nobody serves, and enough for a model that does not exist: its lines are refused', () => {
    expect([roomOf('m', []), roomOf('none', []) > 0]).toEqual([0, true]);
  });

  it('[Q8] has a tab once that serves two models, or two variants of one', () => {
    const room = new BatchRoom(VARIANTS, [tabs('m-q4 m-q8 other-q8', 2, 2), tabs('m-q8', 1, 1)]);
    expect(['m', 'other'].map((name) => room.of(name))).toEqual([3, 2]);
    room.take('m', 2); // The one that serves nothing else first.
    expect(['m', 'other'].map((name) => room.of(name))).toEqual([1, 1]);
    room.take('other', 1);
    expect(['m', 'other'].map((name) => room.of(name))).toEqual([0, 0]);
  });
});
