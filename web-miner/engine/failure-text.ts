/** What was thrown, in words. A package's own program ends with an object that is no `Error` and has a message. */
export function failureText(cause: unknown): string {
  const isNamed = typeof cause === 'object' && cause !== null && 'message' in cause;
  return isNamed && typeof cause.message === 'string' ? cause.message : String(cause);
}
