import { describe, expect, it } from 'vitest';
import embedded from '../../models/embedded/catalogue.json' with { type: 'json' };
import { type Catalogue, type ModelEntry, servedVariants } from '../../shared/classes/catalogue.ts';
import { findVariants } from './served-catalogue.ts';

const [chats] = (embedded as Catalogue).models;
const embeds: ModelEntry = {
  ...chats!,
  id: 'embeds',
  capabilities: ['embed'],
  chat: null,
  defaults: null,
  embed: { dimensions: 384, pooling: 'mean' },
};
const served = await servedVariants({ v: 2, models: [chats!, embeds] });

describe('the variants behind a name', () => {
  it('[D5] are those of a model that can do what is asked, or the request is refused by name', () => {
    const idsOf = (name: string, capability: 'chat' | 'embed' | null) =>
      findVariants(served, name, capability).map(({ model, variant }) => `${model.id}:${variant.id}`);
    expect(idsOf('shoal-pup-3m', 'chat')).toEqual(['shoal-pup-3m:q8_0', 'shoal-pup-3m:q4_0']);
    expect(idsOf('embeds:q4_0', 'embed')).toEqual(['embeds:q4_0']);
    expect(idsOf('embeds:q4_0', null)).toEqual(['embeds:q4_0']);
    expect(() => idsOf('embeds', 'chat')).toThrow(
      expect.objectContaining({
        code: 'invalid_value',
        message: expect.stringMatching(/^The model 'embeds' can embed, not chat/),
      }),
    );
    expect(() => idsOf('nobody', 'chat')).toThrow(expect.objectContaining({ code: 'model_not_found' }));
  });
});
