import { describe, expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import { COUNTRIES, countryOf, isWithin, parseRegions } from './regions.ts';

describe('the regions in which tabs may be wanted', () => {
  it('[B10] hold every country of ISO 3166 once', () => {
    // Node knows a name for each code that is a country, and gives back the code where it does not.
    const names = new Intl.DisplayNames('en', { type: 'region', fallback: 'none' });
    const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];
    const named = letters
      .flatMap((first) => letters.map((second) => first + second))
      .filter((code) => names.of(code) !== undefined);
    // Unions, islands and users' codes that CLDR names and ISO does not assign, and codes of countries that are no more.
    const unassigned = new Set(
      'AC AN BU CP CQ CS DD DG DY EA EU EZ FQ FX HV IC JT MI NH NQ NT PC PU PZ QO RH SU TA TP UK UN VD WK XA XB YD YU ZR ZZ CT'.split(
        ' ',
      ),
    );
    expect([...COUNTRIES].filter((code) => !named.includes(code))).toEqual([]);
    expect(named.filter((code) => !COUNTRIES.has(code) && !unassigned.has(code))).toEqual([]);
    expect(COUNTRIES.size).toBe(250); // 249, and Kosovo.
  });

  it.each<[readonly string[], string | null, boolean]>([
    [[], null, true],
    [[], 'DE', true],
    [['DE'], 'DE', true],
    [['DE'], 'FR', false],
    [['EU'], 'FR', true],
    [['EU'], 'GB', false],
    [['EU'], 'CH', false],
    [['EU'], 'RE', false],
    [['europe'], 'GB', true],
    [['europe'], 'US', false],
    [['asia', 'US'], 'JP', true],
    [['asia', 'US'], 'US', true],
    [['north-america'], 'NA', false], // Namibia.
    [['africa'], 'NA', true],
    [['DE', 'EU', 'europe'], null, false],
  ])('%j: a tab in %s: %s', (regions, country, within) => {
    expect(isWithin(regions, country)).toBe(within);
  });

  it('are refused by their place in the list', () => {
    expect(parseRegions(['DE', 'EU', 'DE', 'asia'])).toEqual(['DE', 'EU', 'asia']);
    for (const wrong of ['eu', 'de', 'Europe', 'XX', 'T1', 'ZZ', 'DEU', '276', '', 'constructor', '__proto__']) {
      try {
        parseRegions(['DE', wrong]);
        expect.unreachable();
      } catch (cause) {
        const { code, param } = ShoalError.from(cause);
        expect([code, param]).toEqual(['invalid_value', 'placement.regions[1]']);
      }
    }
  });

  it('know no country by what is none', () => {
    expect(['DE', 'XX', 'T1', 'de', '', null, undefined, 49].map(countryOf)).toEqual(['DE', ...Array(7).fill(null)]);
  });
});
