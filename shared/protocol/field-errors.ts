import type * as v from 'valibot';
import { ShoalError } from '../errors.ts';

/** Refusals of request bodies by the name of the field, the same for every route. */

/** A JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field of OpenAI's that is not honoured, at this value or at all. */
export function unsupported(field: string): ShoalError {
  return new ShoalError('unsupported_field', `The field '${field}' is not supported with this value.`, {
    param: field,
  });
}

type Issue = v.BaseIssue<unknown>;

/** What is wrong with a body that a schema refuses, by the name of the field. */
export function fieldError(issue: Issue, body: unknown, outer: readonly PropertyKey[] = []): ShoalError {
  const path = [...outer, ...(issue.path?.map(({ key }) => key as PropertyKey) ?? [])];
  const param = pathText(path);
  if (issue.expected === 'never') return new ShoalError('unknown_field', `The field '${param}' is unknown.`, { param });
  if (valueAt(body, path) === undefined) {
    return new ShoalError('missing_field', `The field '${param}' is missing.`, { param });
  }
  if (issue.type === 'union') {
    const inside = nearest(issue);
    if (inside !== null) return fieldError(inside, body, path);
    return new ShoalError('invalid_type', `The field '${param}' has an unsupported type.`, { param });
  }
  // Parts of a message's content: images and the like, which no tab takes yet.
  if (path.includes('content') && path.at(-1) === 'type') return unsupported(param);
  if (issue.type === 'picklist' || (issue.kind === 'validation' && issue.type !== 'safe_integer')) {
    return new ShoalError(
      'invalid_value',
      `The field '${param}' has a value that is not allowed: ${describe(issue)}.`,
      { param },
    );
  }
  const expected = issue.type === 'safe_integer' ? 'integer' : issue.expected;
  return new ShoalError('invalid_type', `The field '${param}' must be of type ${expected?.toLowerCase()}.`, { param });
}

function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i > 0 ? '.' : ''}${String(step)}`))
    .join('');
}

/** What is wrong inside the alternative whose type fits; null when none does. */
function nearest(issue: Issue): Issue | null {
  return issue.issues?.find((inside) => inside.kind === 'validation' || inside.path !== undefined) ?? null;
}

function describe(issue: Issue): string {
  switch (issue.type) {
    case 'min_value':
    case 'min_length':
      return `at least ${String(issue.requirement)}`;
    case 'max_value':
    case 'max_length':
      return `at most ${String(issue.requirement)}`;
    case 'check':
      return issue.message;
    default:
      return `it must be ${issue.expected ?? 'as the README says'}`;
  }
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at: unknown = value;
  for (const step of path)
    at = typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[step] : undefined;
  return at;
}
