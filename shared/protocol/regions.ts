import { ShoalError } from '../errors.ts';

/**
 * Regions in which tabs may be wanted: countries by ISO 3166-1 alpha-2, with `XK`; the continents, which have names because their usual letters are countries too; and the
 * European Union. A closed list: what a router cannot tell apart is not taken.
 */

/** Countries by continent, as GeoNames has them (countryInfo.txt). */
const CONTINENTS: Readonly<Record<string, string>> = {
  africa:
    'AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW',
  antarctica: 'AQ BV GS HM TF',
  asia: 'AE AF AM AZ BD BH BN BT CC CN CX GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH PK PS QA SA SG SY TH TJ TM TR TW UZ VN YE',
  europe:
    'AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK',
  'north-america':
    'AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT US VC VG VI',
  oceania: 'AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS',
  'south-america': 'AR BO BR CL CO EC FK GF GY PE PY SR UY VE',
};

/** Member states. Their parts overseas have codes of their own, and are not meant. */
const EUROPEAN_UNION = 'AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK';

const MEMBERS: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ...Object.entries(CONTINENTS).map(([name, codes]) => [name, new Set(codes.split(' '))] as const),
  ['EU', new Set(EUROPEAN_UNION.split(' '))] as const,
]);

/** Every country that a tab can be in. */
export const COUNTRIES: ReadonlySet<string> = new Set(Object.values(CONTINENTS).flatMap((codes) => codes.split(' ')));

/** The country of a code as others write it; null for what is none: `XX`, Tor's `T1`, nothing at all. */
export function countryOf(code: unknown): string | null {
  return typeof code === 'string' && COUNTRIES.has(code) ? code : null;
}

/** Each once, in their order. Throws `invalid_value` that names the place of one that is no region. */
export function parseRegions(regions: readonly string[]): readonly string[] {
  const wrong = regions.findIndex((region) => !COUNTRIES.has(region) && !MEMBERS.has(region));
  if (wrong < 0) return [...new Set(regions)];
  const param = `placement.regions[${wrong}]`;
  const message = `The field '${param}' has a value that is not allowed: a country as in 'DE', 'EU', or one of ${Object.keys(CONTINENTS).join(', ')}.`;
  throw new ShoalError('invalid_value', message, { param });
}

/** Whether a country is in one of these regions; none are named: everywhere is. A tab whose country nobody knows is in no region. */
export function isWithin(regions: readonly string[] | undefined, country: string | null | undefined): boolean {
  if (regions === undefined || regions.length === 0) return true;
  if (country == null) return false;
  return regions.some((region) => region === country || MEMBERS.get(region)?.has(country) === true);
}
