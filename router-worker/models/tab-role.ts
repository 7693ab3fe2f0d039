import { kindOf, type ServedVariant } from '../../shared/classes/catalogue.ts';
import type { Served } from '../pool/tab.ts';

/** The part that a tab plays: `answer` writes and checks, `check_only` only checks, `embed_only` runs models that embed and is never asked for a chat. */
export type TabRole = 'answer' | 'check_only' | 'embed_only';

/** Null for a tab that serves nothing now, or only what this router does not offer. */
export function roleOf(served: Served | null, catalogue: readonly ServedVariant[]): TabRole | null {
  const models = catalogue.filter((entry) => served?.classes.includes(entry.class) === true).map(({ model }) => model);
  if (served === null || models.length === 0) return null;
  if (served.checkOnly) return 'check_only';
  return models.every((model) => kindOf(model) === 'embed') ? 'embed_only' : 'answer';
}
