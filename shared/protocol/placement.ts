/** Which tabs may read a prompt: those that answer, and those that check. */
export interface Placement {
  /** Identities of tabs; null: any. */
  readonly allow: readonly string[] | null;
  readonly block: readonly string[];
}

export const ANYWHERE: Placement = { allow: null, block: [] };

export function isAllowed({ allow, block }: Placement, tab: string): boolean {
  return (allow === null || allow.includes(tab)) && !block.includes(tab);
}
