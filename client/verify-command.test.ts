import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { main } from './cli.ts';

const FOLDER = new URL('../shared/receipt/', import.meta.url);

async function told(golden: string): Promise<string> {
  const { routerKey, receipt } = JSON.parse(await readFile(new URL(golden, FOLDER), 'utf8')) as {
    routerKey: string;
    receipt: object;
  };
  const file = join(await mkdtemp(join(tmpdir(), 'shoal-')), 'receipt.json');
  await writeFile(file, JSON.stringify(receipt));
  const lines: string[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line));
  expect(await main(['verify', file, `--key=${routerKey}`, '--no-log'])).toBe(0);
  log.mockRestore();
  return lines.join('\n');
}

describe('shoal verify', () => {
  it('tells the price and its rule, as it follows from what the tabs signed', async () => {
    expect(await told('golden-receipt.json')).toMatch(
      /price {5}(\d+) micro-credits: \(\d+ \+ \d+\) tokens × 5 × 200 % \(level cross\) × 100 % \(class standard\); 1000000 were set aside, \d+ returned/,
    );
  });

  it('says so where a router told none', async () => {
    expect(await told('golden-receipt-unpriced.json')).toMatch(/price {5}not told/);
  });
});
