import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import { MAX_PLACED_TABS } from '../limits.ts';
import { CORTENSOR_FIELDS } from './cortensor-session.ts';
import { floorsOf, parseSessionSettings, requestOf, type SessionSettings } from './session-api.ts';

const tab = (letter: string) => letter.repeat(42).concat('A');
const DEFAULTS = parseSessionSettings({}, null);

function refusal(body: unknown, current: SessionSettings | null = null): unknown {
  try {
    parseSessionSettings(body, current);
  } catch (cause) {
    if (cause instanceof ShoalError) return [cause.code, cause.param];
    throw cause;
  }
  return null;
}

describe('the settings of a session', () => {
  it('have defaults that bind nobody', () => {
    expect(DEFAULTS).toEqual({
      name: '',
      metadata: {},
      model: null,
      tabs: { min: 1, max: null },
      redundancy: 1,
      level: null,
      checks: 1,
      sla: 'standard',
      budget: null,
      priceCeiling: null,
      maxTasks: null,
      deadlineMs: null,
      placement: { ownDevicesOnly: false, allow: null, block: [] },
      delivery: 'stream',
      lifeS: 604_800,
    });
  });

  it('are what was asked for, and asked for again give the same', () => {
    const asked = {
      name: 'press',
      metadata: { team: 'a' },
      model: 'shoal-pup-3m:q8_0',
      tabs: { min: 2, max: 5 },
      redundancy: 2,
      level: 'strict',
      checks: 2,
      sla: 'standard',
      budget: 9000,
      price_ceiling: 400,
      max_tasks: 10,
      deadline_ms: 5000,
      placement: { regions: [], own_devices_only: true, allow: [tab('a'), tab('b'), tab('c')], block: [tab('d')] },
      store: false,
      delivery: 'poll',
      expires_in_s: 3600,
    };
    const settings = parseSessionSettings(asked, null);
    expect(requestOf(settings)).toEqual(asked);
    expect(parseSessionSettings({}, settings)).toEqual(settings);
    expect(floorsOf(settings)).toEqual({ level: 'strict', checks: 2 });
  });

  it('make redundancy a level and a number of checks', () => {
    const floors = (body: object) => floorsOf(parseSessionSettings(body, null));
    expect(floors({ redundancy: 1 })).toEqual({ level: null, checks: 1 });
    expect(floors({ redundancy: 4 })).toEqual({ level: 'cross', checks: 3 });
    expect(floors({ redundancy: 2, checks: 3, level: 'none' })).toEqual({ level: 'cross', checks: 3 });
  });

  it('are changed by what a body names; a null takes a parameter back', () => {
    const before = parseSessionSettings(
      { name: 'a', budget: 10, tabs: { min: 2, max: 3 }, metadata: { a: '1' } },
      null,
    );
    const after = parseSessionSettings({ budget: null, tabs: { max: null }, metadata: { b: '2' } }, before);
    expect(after).toEqual({ ...before, budget: null, tabs: { min: 2, max: null }, metadata: { b: '2' } });
  });

  it.each<[string, unknown, string, string | null]>([
    ['no object', [], 'invalid_json', null],
    ['null', null, 'invalid_json', null],
    ['a field that nobody knows', { nodes: 1 }, 'unknown_field', 'nodes'],
    ['a name that every object has', JSON.parse('{"constructor": 1}'), 'unknown_field', 'constructor'],
    ['the name of a prototype', JSON.parse('{"__proto__": {"level": "none"}}'), 'unknown_field', '__proto__'],
    ['one inside', JSON.parse('{"tabs": {"toString": 1}}'), 'unknown_field', 'tabs.toString'],
    ['one in the metadata', JSON.parse('{"metadata": {"__proto__": "x"}}'), 'unknown_field', 'metadata.__proto__'],
    [
      'objects without end',
      JSON.parse(`{"tabs": ${'{"tabs": '.repeat(5000)}1${'}'.repeat(5001)}`),
      'unknown_field',
      'tabs.tabs',
    ],
    ['a list for an object', { placement: [] }, 'invalid_type', 'placement'],
    ['a list of metadata', { metadata: ['a'] }, 'invalid_type', 'metadata'],
    ['a wrong type', { budget: '100' }, 'invalid_type', 'budget'],
    ['a fraction of a credit', { budget: 1.5 }, 'invalid_type', 'budget'],
    ['a budget of nothing', { budget: 0 }, 'invalid_value', 'budget'],
    ['a negative ceiling', { price_ceiling: -1 }, 'invalid_value', 'price_ceiling'],
    ['an unknown level', { level: 'paranoid' }, 'invalid_value', 'level'],
    ['a deadline that no clock can keep', { deadline_ms: 1 }, 'invalid_value', 'deadline_ms'],
    ['a life without end', { expires_in_s: 1e9 }, 'invalid_value', 'expires_in_s'],
    ['a tab of no shape', { placement: { allow: ['../pool'] } }, 'invalid_value', 'placement.allow[0]'],
    ['an empty list of allowed tabs', { placement: { allow: [] } }, 'invalid_value', 'placement.allow'],
    [
      'a huge list of tabs',
      { placement: { block: Array(MAX_PLACED_TABS + 1).fill(tab('a')) } },
      'invalid_value',
      'placement.block',
    ],
    [
      'many entries of metadata',
      { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [i, ''])) },
      'invalid_value',
      'metadata',
    ],
    ['control characters in a name', { name: 'a\u001b[2J' }, 'invalid_value', 'name'],
    ['more tabs than tabs', { tabs: { min: 3, max: 2 } }, 'invalid_value', 'tabs.min'],
    ['a ceiling above the budget', { budget: 10, price_ceiling: 11 }, 'invalid_value', 'price_ceiling'],
    ['nobody left', { placement: { allow: [tab('a')], block: [tab('a')] } }, 'invalid_value', 'placement.block'],
    [
      'fewer allowed tabs than wanted',
      { tabs: { min: 2 }, placement: { allow: [tab('a')] } },
      'invalid_value',
      'tabs.min',
    ],
    ['nobody to check', { level: 'strict', placement: { allow: [tab('a')] } }, 'invalid_value', 'placement.allow'],
    [
      'nobody to repeat',
      { redundancy: 3, placement: { allow: [tab('a'), tab('b')] } },
      'invalid_value',
      'placement.allow',
    ],
    [
      'the same tab twice',
      { redundancy: 2, placement: { allow: [tab('a'), tab('a')] } },
      'invalid_value',
      'placement.allow',
    ],
    // What is not honoured yet, by name.
    ['regions', { placement: { regions: ['eu'] } }, 'unsupported_field', 'placement.regions'],
    ['own devices by a word', { placement: { own_devices_only: 'yes' } }, 'invalid_type', 'placement.own_devices_only'],
    ['storage', { store: true }, 'unsupported_field', 'store'],
    ['a webhook', { delivery: 'webhook' }, 'unsupported_field', 'delivery'],
  ])('refuse %s', (_, body, code, param) => {
    expect(refusal(body)).toEqual([code, param]);
  });

  it('[B6] say why a parameter is not honoured', () => {
    expect(() => parseSessionSettings({ delivery: 'webhook' }, null)).toThrow(/the router calls nobody/);
    expect(() => parseSessionSettings({ store: true }, null)).toThrow(/keeps neither prompts nor answers/);
  });
});

describe("Cortensor's fields", () => {
  /** As the table of docs/sessions.md has them: what is sent, and what comes of it. */
  const rows: readonly (readonly [field: string, value: unknown, outcome: Partial<SessionSettings> | 'refused'])[] = [
    ['name', 'press', { name: 'press' }],
    ['metadata', 'free text', { metadata: 'free text' }],
    ['address', '0x00', 'refused'],
    ['minNumOfNodes', 2, { tabs: { min: 2, max: null } }],
    ['maxNumOfNodes', 3, { tabs: { min: 1, max: 3 } }],
    ['redundant', 2, { redundancy: 2 }],
    ['numOfValidatorNodes', 2, { checks: 2, level: 'cross' }],
    ['mode', 0, {}],
    ['mode', 2, 'refused'],
    ['reserveEphemeralNodes', false, {}],
    ['reserveEphemeralNodes', true, 'refused'],
    ['sla', 0, { sla: 'batch' }],
    ['sla', 1, { sla: 'standard' }],
    ['sla', 2, { sla: 'fast' }],
    ['modelIdentifier', 4, 'refused'],
    ['reservePeriod', 0, {}],
    ['reservePeriod', 300, 'refused'],
    ['maxTaskExecutionCount', 5, { maxTasks: 5 }],
  ];

  it.each(rows)('%s at %j', (field, value, outcome) => {
    if (outcome === 'refused') expect(refusal({ [field]: value })).toEqual(['unsupported_field', field]);
    else expect(parseSessionSettings({ [field]: value }, null)).toEqual({ ...DEFAULTS, ...outcome });
  });

  it('are all in the table of docs/sessions.md, and no other', () => {
    const text = readFileSync(new URL('../../docs/sessions.md', import.meta.url), 'utf8');
    const table = text.slice(text.indexOf("## Cortensor's fields"));
    const documented = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, field]) => field);
    const known = ['name', 'metadata', ...CORTENSOR_FIELDS.keys()];
    expect(new Set(documented)).toEqual(new Set(known));
    expect(new Set(rows.map(([field]) => field))).toEqual(new Set(known));
  });

  it('are refused beside our own name for the same thing', () => {
    expect(refusal({ redundant: 2, redundancy: 2 })).toEqual(['invalid_value', 'redundant']);
    expect(refusal({ minNumOfNodes: 1, tabs: { min: 1 } })).toEqual(['invalid_value', 'minNumOfNodes']);
    expect(parseSessionSettings({ minNumOfNodes: 2, tabs: { max: 4 } }, null).tabs).toEqual({ min: 2, max: 4 });
    expect(parseSessionSettings({ minNumOfNodes: 2, maxNumOfNodes: 4 }, null).tabs).toEqual({ min: 2, max: 4 });
  });

  it('are validated like our own', () => {
    expect(refusal({ redundant: 9 })).toEqual(['invalid_value', 'redundancy']);
    expect(refusal({ sla: 7 })).toEqual(['invalid_value', 'sla']);
    expect(refusal({ minNumOfNodes: 5, maxNumOfNodes: 2 })).toEqual(['invalid_value', 'tabs.min']);
  });
});
