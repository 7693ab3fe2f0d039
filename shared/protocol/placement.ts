/** Which tabs may read a prompt: those that answer, and those that check. */
export interface Placement {
  /** Identities of tabs; null: any. */
  readonly allow: readonly string[] | null;
  readonly block: readonly string[];
}

/** As a session keeps it. */
export interface SessionPlacement extends Placement {
  /** Only tabs that are paired with the account of the session, of those that the lists allow. Left out by earlier releases: any. */
  readonly ownDevicesOnly?: boolean;
}

export const ANYWHERE: Placement = { allow: null, block: [] };

/** The placement of one request: of the tabs that may read, those that are the account's devices. */
export function onDevices({ allow, block }: Placement, devices: readonly string[]): Placement {
  return { allow: devices.filter((tab) => isAllowed({ allow, block }, tab)), block };
}

export function isAllowed({ allow, block }: Placement, tab: string): boolean {
  return (allow === null || allow.includes(tab)) && !block.includes(tab);
}
