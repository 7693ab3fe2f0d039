import { ShoalError } from '../errors.ts';

/** No schema of ours looks deeper: what lies below is of a wrong type already. */
const MAX_DEPTH = 8;

/**
 * Refuses field names that every object has by inheritance (`constructor`, `__proto__`, …): schemas hold them for known, and would ignore them in silence.
 * Throws `unknown_field`.
 */
export function refuseInheritedNames(body: unknown, outer = '', depth = 0): void {
  if (typeof body !== 'object' || body === null || depth > MAX_DEPTH) return;
  for (const [name, value] of Object.entries(body)) {
    const path = Array.isArray(body) ? `${outer}[${name}]` : outer === '' ? name : `${outer}.${name}`;
    if (name in Object.prototype) {
      throw new ShoalError('unknown_field', `The field '${path}' is unknown.`, { param: path });
    }
    refuseInheritedNames(value, path, depth + 1);
  }
}
