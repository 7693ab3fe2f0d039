import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { CODE_KINDS, codeFor } from './code-for.ts';

const NASTY = `it's "quoted" $HOME \`id\` $(id) \\ \n new line </script> ' ; rm -rf / #`;
const ASKED = {
  request: { model: 'pup', messages: [{ role: 'user' as const, content: NASTY }], temperature: 0, seed: 3 },
  level: 'cross' as const,
  framesDirect: 0,
};
const ORIGIN = 'http://localhost:8787';

describe('the code for what was just asked', () => {
  it('is a command line that says the same to curl, whatever the prompt has in it', () => {
    const code = codeFor('curl', ASKED, ORIGIN, false) ?? '';
    // A shell function in curl's place prints its last argument.
    const body = execFileSync('sh', ['-c', `curl() { shift $(($# - 1)); printf %s "$1"; }\n${code}`], {
      encoding: 'utf8',
    });
    expect(JSON.parse(body)).toEqual({ ...ASKED.request, shoal: { level: 'cross' } });
  });

  it.each(['client', 'openai'] as const)('is a call that says the same by %s', (kind) => {
    const code = codeFor(kind, ASKED, ORIGIN, false) ?? '';
    const argument = code.slice(code.indexOf('create(') + 'create('.length, code.lastIndexOf(');\nconsole'));
    expect(JSON.parse(argument)).toEqual({ ...ASKED.request, shoal: { level: 'cross' } });
  });

  it.each(CODE_KINDS)('names the key by a variable, by %s', (kind) => {
    expect(codeFor(kind, ASKED, ORIGIN, true)).toContain('SHOAL_API_KEY');
    expect(codeFor(kind, ASKED, ORIGIN, false)).not.toContain('SHOAL_API_KEY');
  });

  it('allows direct links where the answer came by one', () => {
    expect(codeFor('client', { ...ASKED, framesDirect: 3 }, ORIGIN, false)).toContain(
      `{ baseUrl: '${ORIGIN}', directLinks: true }`,
    );
    expect(codeFor('client', ASKED, ORIGIN, false)).not.toContain('directLinks');
  });

  it('is not there before the model is known', () => {
    expect(codeFor('curl', { request: null, level: null, framesDirect: 0 }, ORIGIN, false)).toBeNull();
  });
});
