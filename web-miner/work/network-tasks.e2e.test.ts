import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { completeSampling } from '../../router-worker/models/complete-sampling.ts';
import published from '../../router-worker/network-tasks/known-answers.json' with { type: 'json' };
import type { KnownAnswer } from '../../router-worker/network-tasks/known-answers.ts';
import type { TabView } from '../../router-worker/record/record-book.ts';
import { buildAll } from '../../scripts/build.ts';
import { type RunningNetwork, startNetwork } from '../../scripts/testing/running-network.ts';
import { chatFormOf, servedVariants } from '../../shared/classes/catalogue.ts';
import { promptRenderer } from '../engine/render-prompt.ts';

let network: RunningNetwork;
beforeAll(async () => {
  network = await startNetwork({ networkTasks: true });
});
afterAll(() => network?.stop());

describe('the network’s own tasks, with real tabs', () => {
  it('have published answers that the engine of this build writes', async () => {
    const page = await network.examPage();
    const served = await servedVariants(await buildAll(true));
    const embedded = served.filter(({ model }) => model.id === 'shoal-pup-3m');
    expect(Object.keys(published).sort()).toEqual(embedded.map(({ class: id }) => id).sort());
    for (const { model, variant, class: id } of embedded) {
      await page.evaluate(([entry, options]) => window.exam.loadEngine(entry, options), [
        variant,
        { contextTokens: model.contextTokens, threads: 1, batchTokens: null },
      ] as const);
      const renderer = promptRenderer(chatFormOf(model));
      for (const { question, text, finish } of (published as unknown as Record<string, KnownAnswer[]>)[id]!.slice(
        0,
        5,
      )) {
        const written = await page.evaluate(([prompt, sampling]) => window.exam.generateOne(prompt, sampling), [
          renderer.render([{ role: 'user', content: question.prompt }]),
          completeSampling(model, { topP: 1, ...question.sampling }),
        ] as const);
        expect(written).toEqual({ text, finish });
      }
    }
    await page.context().close();
  });

  it('qualify an idle tab, which its own page tells, and anyone may read', async () => {
    const [tab] = await network.lend(1);
    const standing = tab!.locator('#standing strong');
    await standing.getByText('trusted').waitFor({ timeout: 150_000 });
    const id = (await tab!.locator('details code').textContent()) ?? '';
    const view = (await (await fetch(`${network.router.url}/v1/tabs/${id}`)).json()) as TabView;
    expect(view.records).toMatchObject([
      { standing: 'trusted', why: 'qualified', counts: { refuted: 0, disputed: 0 } },
    ]);
  });
});
