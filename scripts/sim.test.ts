import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ROOT } from './paths.ts';

describe('npm run sim', () => {
  const sim = (...args: string[]) =>
    promisify(execFile)(process.execPath, [join(ROOT, 'scripts', 'sim.ts'), ...args]).then(
      ({ stdout }) => ({ status: 0, out: stdout }),
      (cause: { code: number; stdout: string; stderr: string }) => ({
        status: cause.code,
        out: cause.stdout + cause.stderr,
      }),
    );

  it('ends with a line of JSON, and with status 1 when a goal is missed', async () => {
    const run = [
      'trust',
      '--tabs',
      '40',
      '--hostile',
      '0.5',
      '--attack',
      'whitewasher',
      '--days',
      '0.3',
      '--chart',
      'none',
    ];
    const good = await sim(...run);
    expect(JSON.parse(good.out.trim().split('\n').at(-1) ?? '')).toMatchObject({
      name: 'sim-trust',
      tabs: 40,
      seed: 1,
    });
    const cheap = [
      '--load',
      '1.2',
      '--swing',
      '0',
      '--qualifying-share',
      '0.5',
      '--deposit',
      '0',
      '--set',
      'qualifyingPasses=1',
      '--set',
      'ratePasses=0',
    ];
    expect(await sim(...run, ...cheap)).toMatchObject({
      status: 1,
      out: expect.stringContaining('MISSED  the best attack'),
    });
  });

  it.each([
    [[], 'Say what to simulate'],
    [['trust', '--tabs', 'many'], "--tabs wants a number from 1 to 100000, not 'many'"],
    [['trust', '--attack', 'magic'], "There is no attack 'magic'"],
    [['trust', '--set', 'luck=1'], "The policy has no number 'luck'"],
    [['trust', '--trace', 'nowhere.csv'], 'nowhere.csv: ENOENT'],
  ])('refuses %j with a sentence', async (args, sentence) => {
    const { status, out } = await sim(...args);
    expect(status).toBe(1);
    expect(out).toContain(sentence);
    expect(out).not.toContain('    at ');
  });
});
