import { expect, it } from 'vitest';
import { failureText } from './failure-text.ts';

it('says what was thrown, whatever it is', () => {
  const ended = { name: 'ExitStatus', message: 'Program terminated with exit(1)', status: 1 };
  expect([new Error('no room'), ended, 'a word', null, { message: 3 }].map(failureText)).toEqual([
    'no room',
    'Program terminated with exit(1)',
    'a word',
    'null',
    '[object Object]',
  ]);
});
