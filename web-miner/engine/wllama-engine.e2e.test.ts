import type { Page } from 'playwright-core';
import * as v from 'valibot';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import embedded from '../../models/embedded/catalogue.json' with { type: 'json' };
import { type RunningNetwork, startNetwork } from '../../scripts/testing/running-network.ts';
import { catalogue, piecePath } from '../../shared/classes/catalogue.ts';
import { examWithout } from './engine-exam.ts';

let network: RunningNetwork;
let page: Page;
const weights = v.parse(catalogue, embedded).models[0]!.variants.find(({ id }) => id === 'q8_0')!.weights.sha256;

beforeAll(async () => {
  network = await startNetwork();
  page = await network.examPage();
});
afterAll(() => network?.stop());

describe('wllama in a real browser', () => {
  it.each(examWithout(['device']).sits)('$title', async ({ title }) => {
    const verdict = await page.evaluate(([name, url]) => window.exam.runCase(name, url), [
      title,
      piecePath(weights, 0),
    ] as const);
    expect(verdict).toBeNull();
  });
});
