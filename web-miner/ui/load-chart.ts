import type uPlot from 'uplot';

/**
 * Loads the drawing library. It formats numbers for the browser's language as soon as it is loaded, and a browser in the POSIX locale names one that no formatter knows: it is
 * told English, then.
 */
export async function loadChart(): Promise<typeof uPlot> {
  const isKnown = isLanguage(navigator.language);
  if (!isKnown) Object.defineProperty(navigator, 'language', { value: 'en', configurable: true });
  try {
    return (await import('uplot')).default;
  } finally {
    if (!isKnown) Reflect.deleteProperty(navigator, 'language');
  }
}

function isLanguage(tag: string): boolean {
  try {
    return Intl.getCanonicalLocales(tag).length > 0;
  } catch {
    return false;
  }
}
