import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { toBytes } from '../../shared/bytes.ts';
import { PROBE_COLUMNS } from '../../shared/checking/probe-row.ts';
import { calibrate } from '../calibrate.ts';
import { CommandError } from '../command-line.ts';
import { EMBEDDED_MODELS } from '../paths.ts';
import { areaUnderCurve } from './area-under-curve.ts';
import { probesFromCsv } from './calibration-data.ts';
import { dequantized } from './dequantize-gguf.ts';
import { edited, garbage, looping, truncated } from './dishonest-texts.ts';
import { fitLogistic } from './fit-logistic.ts';
import { calibrationOf } from './judge-areas.ts';

describe('the limits and tables of checking', () => {
  it('are moved by what a router collected, and by nothing but that', async () => {
    const row = 'honest,1,0,idle,1,48,0.9,1,0,,,,,,2,1,2';
    const more = probesFromCsv(`${PROBE_COLUMNS.join(',')}\n${row}\n${row.replace(',1,0,', ',3,0,')}\n`);
    const before = (await calibrate()).limits;
    const { limits, readings } = await calibrate(more);
    expect(readings).toBeGreaterThan(more.length);
    expect(limits.statistical.greedy).toEqual({ form: 'greedy', meanGap: 1.4, largestGap: 1.5, outside: 0 }); // Half more than the largest.
    expect({ ...limits, statistical: null }).toEqual({ ...before, statistical: null });
    expect((await calibrate(probesFromCsv(`${PROBE_COLUMNS.join(',')}\n`))).stale).toEqual([]);
    expect(() => probesFromCsv('a,b\n1,2\n')).toThrow('The columns are');
  });

  it('are what the committed data say', async () => {
    expect((await calibrate()).stale).toEqual([]);
  });
});

describe('the area under the curve', () => {
  it('is the share of pairs in which the bad answer looks worse, with the error of Hanley and McNeil', () => {
    const result = areaUnderCurve([0.9, 0.8, 0.7, 0.6], [0.65, 0.5, 0.7]);
    expect(result?.area).toBeCloseTo(9.5 / 12, 12);
    expect(result?.interval.low).toBeCloseTo(0.416171026, 9);
    expect(result?.interval.high).toBe(1);
  });

  it('is a half for equal answers, one for perfect ones, and nothing for none', () => {
    expect(areaUnderCurve([1, 1], [1, 1, 1])?.area).toBe(0.5);
    expect(areaUnderCurve([2, 3], [0, 1])?.area).toBe(1);
    expect(areaUnderCurve([], [1])).toBeNull();
  });
});

describe('a logistic fit', () => {
  it('gives weight to what tells good from bad, and none to what does not', () => {
    const examples = Array.from({ length: 40 }, (_, i) => ({
      figures: [i % 2 === 0 ? 3 : -1, i % 4 < 2 ? 1 : 0],
      isGood: i % 2 === 0,
    }));
    const { constant, weights } = fitLogistic(examples);
    const score = (figure: number) =>
      1 / (1 + Math.exp(-(constant + figure * (weights[0] ?? 0) + (weights[1] ?? 0) / 2)));
    expect(score(3)).toBeGreaterThan(0.9);
    expect(score(-1)).toBeLessThan(0.1);
    expect(Math.abs(weights[1] ?? 0)).toBeLessThan(0.05);
  });
});

describe('a judge', () => {
  const rows = (margin: (prompt: number, isGood: boolean) => number) =>
    Array.from({ length: 24 }, (_, prompt) =>
      [true, false].map((isGood) => ({
        judge: 'j',
        population: isGood ? 'honest' : 'garbage',
        prompt,
        margins: [margin(prompt, isGood)],
      })),
    ).flat();

  it('is calibrated when it is better than a coin on prompts that the fit has not seen', () => {
    const calibration = calibrationOf(
      rows((prompt, isGood) => (prompt % 5) + (isGood ? 4 : 0)),
      'j',
    );
    expect(calibration?.weights).toHaveLength(1);
    expect(calibration?.weights[0]).toBeGreaterThan(0);
  });

  it('has no calibration when it is not', () => {
    expect(
      calibrationOf(
        rows((prompt) => prompt % 5),
        'j',
      ),
    ).toBeNull();
    expect(calibrationOf([], 'j')).toBeNull();
  });
});

describe('dishonest texts', () => {
  it('change one thing: a number first, else a name, else a word', () => {
    expect(edited('There are 12 apples in Rome.', 3)).toMatch(/^There are (1[3-9]|2[01]) apples in Rome\.$/);
    expect(edited('The capital of Italy is Rome.', 3)).not.toBe('The capital of Italy is Rome.');
    expect(
      edited('the little fish swims', 3)
        .split(' ')
        .filter((word) => !'the little fish swims'.includes(word)),
    ).toHaveLength(1);
  });

  it('are the same for the same index', () => {
    for (const make of [edited, garbage])
      expect(make('Once there was a fox.', 7)).toBe(make('Once there was a fox.', 7));
    expect(garbage('one two three four', 1)).not.toBe(garbage('one two three four', 2));
  });

  it('stop at two fifths, or go round in circles', () => {
    expect(truncated('a b c d e f g h i j')).toBe('a b c d');
    expect(looping('one two three four five six seven')).toBe(
      'one two three four five six one two three four five six one two three four five six',
    );
  });
});

describe('weights as float32', () => {
  it('are all there, the same a second time, and the scale times the integer of each block', async () => {
    const file = toBytes(await readFile(join(EMBEDDED_MODELS, 'chat', 'shoal-pup-3M-instruct-q8_0.gguf')));
    const wide = dequantized(file);
    // 2,951,616 parameters of four bytes, behind the header.
    expect(wide.byteLength).toBeGreaterThan(2_951_616 * 4);
    expect(wide.byteLength).toBeLessThan(2_951_616 * 4 + 200_000);
    expect(Buffer.compare(dequantized(wide), wide)).toBe(0);
    expect(() => dequantized(toBytes(new TextEncoder().encode('not a model at all')))).toThrow(CommandError);
  });
});
