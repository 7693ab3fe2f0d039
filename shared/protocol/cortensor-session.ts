import { ShoalError } from '../errors.ts';
import { isRecord } from './field-errors.ts';

/**
 * The fields by which Cortensor's contracts set up a session, as its clients send them. Each is translated into a parameter of ours that means the same, or
 * refused by name with the reason.
 */

type Translation =
  | { readonly to: (value: unknown) => Record<string, unknown> }
  /** At these values the field says what is the case anyway. */
  | { readonly neutral: readonly unknown[]; readonly why: string };

const WORDS_OF_SLA = new Map<unknown, string>([
  [0, 'batch'],
  [1, 'standard'],
  [2, 'fast'],
]);

/** `name` and `metadata` are not among them: they are called and mean the same here. */
export const CORTENSOR_FIELDS: ReadonlyMap<string, Translation> = new Map<string, Translation>([
  ['address', { neutral: [], why: 'there are no wallets: a session belongs to the key that set it up' }],
  ['minNumOfNodes', { to: (min) => ({ tabs: { min } }) }],
  ['maxNumOfNodes', { to: (max) => ({ tabs: { max } }) }],
  ['redundant', { to: (redundancy) => ({ redundancy }) }],
  // None asked for is no floor; any number of validators means that every answer is checked.
  ['numOfValidatorNodes', { to: (checks) => (checks === 0 ? {} : { checks, level: 'cross' }) }],
  [
    'mode',
    {
      neutral: [0],
      why: 'tabs are lent by visitors and never dedicated to one session: name the tabs that may serve in placement.allow',
    },
  ],
  [
    'reserveEphemeralNodes',
    { neutral: [false], why: 'a tab is leased for one answer at a time and not held between them' },
  ],
  ['sla', { to: (sla) => ({ sla: WORDS_OF_SLA.get(sla) ?? sla }) }],
  [
    'modelIdentifier',
    {
      neutral: [],
      why: "an index into Cortensor's list of models names nothing here: give the name of a model as model",
    },
  ],
  ['reservePeriod', { neutral: [0], why: 'no tab is reserved: expires_in_s says how long the session itself lives' }],
  ['maxTaskExecutionCount', { to: (count) => ({ max_tasks: count }) }],
]);

/** The body with Cortensor's fields under our names. Throws `unsupported_field` with the reason, or `invalid_value` where two fields say the same thing. */
export function translateCortensorFields(body: Record<string, unknown>): Record<string, unknown> {
  const translated: Record<string, unknown> = {};
  const own = Object.fromEntries(Object.entries(body).filter(([field]) => !isCortensors(field, body)));
  for (const [field, value] of Object.entries(body)) {
    const translation = isCortensors(field, body) ? CORTENSOR_FIELDS.get(field) : undefined;
    if (translation === undefined || value === null) continue;
    if ('why' in translation) {
      if (translation.neutral.includes(value)) continue;
      throw new ShoalError('unsupported_field', `The field '${field}' is not honoured: ${translation.why}.`, {
        param: field,
      });
    }
    addTo(translated, translation.to(value), own, field);
  }
  return merged(own, translated);
}

/** `sla` has the same name on both sides: Cortensor's is a number. */
function isCortensors(field: string, body: Record<string, unknown>): boolean {
  return CORTENSOR_FIELDS.has(field) && (field !== 'sla' || typeof body[field] === 'number');
}

function addTo(
  translated: Record<string, unknown>,
  part: Record<string, unknown>,
  own: Record<string, unknown>,
  field: string,
): void {
  for (const [name, value] of Object.entries(part)) {
    const said = own[name];
    const isSaidTwice = isRecord(value)
      ? isRecord(said) && Object.keys(value).some((inner) => said[inner] != null)
      : said != null;
    if (isSaidTwice) {
      throw new ShoalError(
        'invalid_value',
        `The fields '${field}' and '${name}' say the same thing: give one of them.`,
        {
          param: field,
        },
      );
    }
  }
  Object.assign(translated, merged(translated, part));
}

/** One level deep: `tabs` has two parts. */
function merged(base: Record<string, unknown>, over: Record<string, unknown>): Record<string, unknown> {
  const result = { ...base };
  for (const [name, value] of Object.entries(over)) {
    const before = result[name];
    result[name] = isRecord(value) && isRecord(before) ? { ...before, ...value } : value;
  }
  return result;
}
