import * as v from 'valibot';

/** How a tab stands with its router: see docs/trust.md. */
export const standing = v.picklist(['new', 'trusted', 'suspected', 'quarantined', 'banned']);
export type Standing = v.InferOutput<typeof standing>;
