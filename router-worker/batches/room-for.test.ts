import { describe, expect, it } from 'vitest';
import type { ServedVariant } from '../../shared/classes/catalogue.ts';
import { roomOf } from './room-for.ts';

const variant = (model: string, id: string) =>
  ({ model: { id: model }, variant: { id }, class: `${model}-${id}` }) as ServedVariant;
const VARIANTS = [variant('m', 'q8'), variant('m', 'q4'), variant('other', 'q8')];
const tabs = (id: string, count: number, free: number) => ({ class: id, tabs: count, free, checkers: 0 });

describe('the room for lines of a batch', () => {
  it('is what is free, of all variants that the name means', () => {
    const census = [tabs('m-q8', 1, 1), tabs('m-q4', 2, 1), tabs('other-q8', 3, 3)];
    expect(['m', 'm:q4', 'other', 'm:q8'].map((name) => roomOf(name, VARIANTS, census))).toEqual([2, 1, 3, 1]);
  });

  it('leaves one tab in four to users', () => {
    expect([4, 3, 2, 1, 0].map((free) => roomOf('m', VARIANTS, [tabs('m-q8', 4, free)]))).toEqual([3, 2, 1, 0, 0]);
    expect(roomOf('m', VARIANTS, [tabs('m-q8', 9, 9)])).toBe(7);
  });

  it('is none where nobody serves, and enough for a model that does not exist: its lines are refused', () => {
    expect([roomOf('m', VARIANTS, []), roomOf('none', VARIANTS, []) > 0]).toEqual([0, true]);
  });
});
