import type { Page } from 'playwright-core';
import * as v from 'valibot';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import embedded from '../../models/embedded/catalogue.json' with { type: 'json' };
import { type RunningNetwork, startNetwork } from '../../scripts/testing/running-network.ts';
import { catalogue, piecePath } from '../../shared/classes/catalogue.ts';
import { ENGINE_EXAM } from './engine-exam.ts';

let network: RunningNetwork;
let page: Page;
const weights = v.parse(catalogue, embedded).models[0]!.variants.find(({ id }) => id === 'q8_0')!.weights.sha256;

beforeAll(async () => {
  network = await startNetwork();
  page = await network.examPage();
});
afterAll(() => network?.stop());

describe('wllama in a real browser', () => {
  it.each(ENGINE_EXAM.map(({ title }, index) => ({ title, index })))('$title', async ({ index }) => {
    const verdict = await page.evaluate(([i, url]) => window.exam.runCase(i, url), [
      index,
      piecePath(weights, 0),
    ] as const);
    expect(verdict).toBeNull();
  });
});
