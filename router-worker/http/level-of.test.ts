import { describe, expect, it } from 'vitest';
import type { Level } from '../../shared/protocol/level.ts';
import type { AppContext } from './context.ts';
import { levelOf } from './level-of.ts';

const levelFor = (asked: Level | null, header: string | undefined, floor: string | undefined) =>
  levelOf({ req: { header: () => header }, env: { SHOAL_LEVEL_FLOOR: floor } } as unknown as AppContext, asked);

describe('the level of a request', () => {
  it.each<[Level | null, string | undefined, string | undefined, Level]>([
    [null, undefined, undefined, 'basic'],
    ['none', undefined, undefined, 'none'],
    ['none', undefined, 'cross', 'cross'],
    [null, undefined, 'strict', 'strict'],
    ['strict', 'none', 'cross', 'strict'],
    ['none', 'cross', 'basic', 'cross'],
  ])('asked %s, header %s, operator’s floor %s: %s', (asked, header, floor, level) => {
    expect(levelFor(asked, header, floor)).toBe(level);
  });

  it('is refused for a floor that is no level, and says whose fault it is', () => {
    expect(() => levelFor(null, undefined, 'high')).toThrow(
      expect.objectContaining({ code: 'router_not_configured' }) as Error,
    );
    expect(() => levelFor(null, 'high', undefined)).toThrow(
      expect.objectContaining({ code: 'invalid_value', param: 'shoal-level' }) as Error,
    );
  });
});
