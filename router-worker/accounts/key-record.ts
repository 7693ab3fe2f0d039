import { ShoalError } from '../../shared/errors.ts';
import type { Level } from '../../shared/protocol/level.ts';
import { wrongKey } from './api-key.ts';

/** What a key may do. Null: no limit of this kind. */
export interface KeyLimits {
  /** Most that it may ever spend, micro-credits. */
  readonly budget: number | null;
  /** Names of models, each with or without its variant. */
  readonly models: readonly string[] | null;
  /** Pages whose scripts may use it, as their browsers tell it: `https://example.org`. Whoever is no browser can say what it likes. */
  readonly origins: readonly string[] | null;
  readonly expiresAt: number | null;
  /** Least level of every request that it makes: weaker ones are raised to it. */
  readonly level: Level | null;
}

export const NO_LIMITS: KeyLimits = { budget: null, models: null, origins: null, expiresAt: null, level: null };

/** All that is kept of a key. Stored: fields may be added, never repurposed. */
export interface KeyRecord extends KeyLimits {
  readonly id: string;
  /** SHA-256 of the key, hex. */
  readonly digest: string;
  readonly name: string;
  readonly createdAt: number;
  readonly revokedAt: number | null;
}

/** What a request wants of a key. `model` null: nothing is run. */
export interface KeyUse {
  readonly model: string | null;
  readonly origin: string | null;
}

/** Throws `invalid_api_key` for a key that is over, and `key_not_allowed` for a use that it was not made for. */
export function refuseUse(key: KeyRecord, use: KeyUse, at: number): void {
  if (key.revokedAt !== null || (key.expiresAt !== null && key.expiresAt <= at)) throw wrongKey();
  if (key.origins !== null && !key.origins.includes(use.origin ?? '')) {
    throw new ShoalError('key_not_allowed', 'This key may be used by other pages only.');
  }
  if (use.model !== null && key.models !== null && !allowsModel(key.models, use.model)) {
    throw new ShoalError('key_not_allowed', `This key may use other models only: ${key.models.join(', ')}.`, {
      param: 'model',
    });
  }
}

/** A key for a model is one for all of its variants; one for a variant does not choose another. */
function allowsModel(models: readonly string[], model: string): boolean {
  const [name = ''] = model.split(':');
  return models.includes(model) || models.includes(name);
}

/** Whether it may make and revoke keys: one with limits could give itself more. An end alone is no such limit. */
export function mayManage(key: KeyLimits): boolean {
  return key.budget === null && key.models === null && key.origins === null && key.level === null;
}
