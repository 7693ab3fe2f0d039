const NAME = 'shoal-api-key';

/** The key that the visitor asked this browser to keep; null without one. */
export function keptApiKey(): string | null {
  try {
    return localStorage.getItem(NAME);
  } catch {
    return null;
  }
}

/** Null forgets it. Where storage is switched off it lasts as long as the page. */
export function keepApiKey(key: string | null): void {
  try {
    if (key === null) localStorage.removeItem(NAME);
    else localStorage.setItem(NAME, key);
  } catch {
    // Nothing is kept, then.
  }
}
