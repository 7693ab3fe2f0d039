const KEY = 'shoal-check-only';

/** Whether the visitor wanted the tab only to check on an earlier visit. Null without a word of it: the device decides. */
export function keptCheckOnly(): boolean | null {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === null ? null : kept === 'yes';
  } catch {
    return null;
  }
}

export function keepCheckOnly(checkOnly: boolean): void {
  try {
    localStorage.setItem(KEY, checkOnly ? 'yes' : 'no');
  } catch {
    // Storage is full or switched off: the choice lasts as long as the page.
  }
}
