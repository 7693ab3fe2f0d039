import { isWithin } from './regions.ts';

/** Which tabs may read a prompt: those that answer, and those that check. */
export interface Placement {
  /** Identities of tabs; null: any. */
  readonly allow: readonly string[] | null;
  readonly block: readonly string[];
  /** Where they must be: see {@link isWithin}. Left out: anywhere. */
  readonly regions?: readonly string[];
}

export const ANYWHERE: Placement = { allow: null, block: [] };

/** Whether a tab of this name, in this country as far as that is known, may read. */
export function mayRead(placement: Placement, tab: string, country: string | null): boolean {
  return isAllowed(placement, tab) && isWithin(placement.regions, country);
}

export function isAllowed({ allow, block }: Placement, tab: string): boolean {
  return (allow === null || allow.includes(tab)) && !block.includes(tab);
}
