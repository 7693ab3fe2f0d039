const KEY = 'shoal-direct-links';

/** Whether the visitor allowed direct links on an earlier visit. Without a word of it: no. */
export function keptDirectChoice(): boolean {
  try {
    return localStorage.getItem(KEY) === 'yes';
  } catch {
    return false;
  }
}

export function keepDirectChoice(direct: boolean): void {
  try {
    localStorage.setItem(KEY, direct ? 'yes' : 'no');
  } catch {
    // Storage is full or switched off: the choice lasts as long as the page.
  }
}
