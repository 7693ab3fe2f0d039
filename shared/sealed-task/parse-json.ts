/** The value, or null for what is no JSON: no schema here takes null, so both are refused in one place. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
