import { expect, it } from 'vitest';
import type { ServedVariant } from '../../shared/classes/catalogue.ts';
import { roleOf } from './tab-role.ts';

const entry = (id: string, chat: object | null) => ({ class: id, model: { chat } }) as ServedVariant;
const catalogue = [entry('chats', {}), entry('embeds', null)];
const role = (checkOnly: boolean, ...classes: string[]) => roleOf({ classes, checkOnly }, catalogue);

it('says which part a tab plays by what it serves', () => {
  expect(role(false, 'chats')).toBe('answer');
  expect(role(false, 'chats', 'embeds')).toBe('answer');
  expect(role(false, 'embeds')).toBe('embed_only');
  expect([role(true, 'chats'), role(true, 'embeds')]).toEqual(['check_only', 'check_only']);
  expect([role(false), role(false, 'elsewhere'), roleOf(null, catalogue)]).toEqual([null, null, null]);
});
