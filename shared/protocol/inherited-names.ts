import { ShoalError } from '../errors.ts';

/**
 * Refuses field names that every object has by inheritance (`constructor`, `__proto__`, …): schemas hold them for known, and would ignore them in silence.
 * Throws `unknown_field`.
 */
export function refuseInheritedNames(body: unknown, outer = ''): void {
  if (typeof body !== 'object' || body === null) return;
  for (const [name, value] of Object.entries(body)) {
    const path = Array.isArray(body) ? `${outer}[${name}]` : outer === '' ? name : `${outer}.${name}`;
    if (name in Object.prototype) {
      throw new ShoalError('unknown_field', `The field '${path}' is unknown.`, { param: path });
    }
    refuseInheritedNames(value, path);
  }
}
