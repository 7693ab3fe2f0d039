import { isWithin } from './regions.ts';

/** Which tabs may read a prompt: those that answer, and those that check. */
export interface Placement {
  /** Identities of tabs; null: any. */
  readonly allow: readonly string[] | null;
  readonly block: readonly string[];
  /** Where they must be: see {@link isWithin}. Left out: anywhere. */
  readonly regions?: readonly string[];
}

/** As a session keeps it. */
export interface SessionPlacement extends Placement {
  /** Only tabs that are paired with the account of the session, of those that the lists allow. Left out by earlier releases: any. */
  readonly ownDevicesOnly?: boolean;
}

export const ANYWHERE: Placement = { allow: null, block: [] };

/** The placement of one request: of the tabs that may read, those that are the account's devices. */
export function onDevices({ allow, block, regions }: Placement, devices: readonly string[]): Placement {
  const own = devices.filter((tab) => isAllowed({ allow, block }, tab));
  return { allow: own, block, ...(regions !== undefined && { regions }) };
}

/** Whether a tab of this name, in this country as far as that is known, may read. */
export function mayRead(placement: Placement, tab: string, country: string | null): boolean {
  return isAllowed(placement, tab) && isWithin(placement.regions, country);
}

export function isAllowed({ allow, block }: Placement, tab: string): boolean {
  return (allow === null || allow.includes(tab)) && !block.includes(tab);
}
