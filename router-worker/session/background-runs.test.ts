import { describe, expect, it } from 'vitest';
import { ShoalError } from '../../shared/errors.ts';
import { type BackgroundPorts, BackgroundRuns, MAX_BACKGROUND_RUNS } from './background-runs.ts';

const CALL = { url: 'https://shoal.test/v1/chat/completions', headers: {}, body: '{}' };
const settled = Promise.resolve();

function runsOf(run: BackgroundPorts['run']) {
  const failures: [string, unknown][] = [];
  const logged: string[] = [];
  const marked = new Set<string>();
  const runs = new BackgroundRuns({
    run,
    begun: (task) => void marked.add(task),
    over: (task) => void marked.delete(task),
    failed: async (task, error) => void failures.push([task, error]),
    log: (event) => void logged.push(event),
  });
  return { runs, failures, logged, marked };
}
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

describe('requests in the background', () => {
  it('begin when their task has its name, and go on', async () => {
    const over = Promise.withResolvers<Response>();
    const { runs, failures, marked } = runsOf(async (_, named) => {
      named('task_a');
      return { response: await over.promise, settled };
    });
    expect(await runs.begin(CALL)).toEqual({ task: 'task_a' });
    expect([runs.size, runs.has('task_a'), [...marked]]).toEqual([1, true, ['task_a']]);
    over.resolve(new Response('{}'));
    await turn();
    expect([runs.size, runs.has('task_a'), [...marked], failures]).toEqual([0, false, [], []]);
  });

  it('[B8] are refused as they were, before they have a name; after it whoever asks hears why', async () => {
    const refusal = () =>
      Response.json({ error: { code: 'no_tab' } }, { status: 503, headers: { 'retry-after': '15' } });
    const early = runsOf(async () => ({ response: refusal(), settled }));
    expect(await early.runs.begin(CALL)).toMatchObject({
      status: 503,
      headers: { 'retry-after': '15' },
      body: '{"error":{"code":"no_tab"}}',
    });
    const late = runsOf(async (_, named) => {
      named('task_a');
      return { response: refusal(), settled };
    });
    expect(await late.runs.begin(CALL)).toEqual({ task: 'task_a' });
    await turn();
    expect([late.failures, early.failures]).toEqual([[['task_a', { error: { code: 'no_tab' } }]], []]);
  });

  it('[B8] are bounded in number', async () => {
    const { runs } = runsOf((_, named) => {
      named('task_a');
      return new Promise(() => undefined);
    });
    for (let i = 0; i < MAX_BACKGROUND_RUNS; i++) await runs.begin(CALL);
    expect(() => runs.begin(CALL)).toThrow(ShoalError);
    expect(runs.size).toBe(MAX_BACKGROUND_RUNS);
  });

  it('that break make room again, and their fault is told by its kind alone', async () => {
    const { runs, logged } = runsOf(async () => {
      throw new TypeError('a secret question');
    });
    await expect(runs.begin(CALL)).rejects.toMatchObject({ code: 'internal_error' });
    await turn();
    expect([runs.size, logged]).toEqual([0, ['background_run_failed']]);
  });
});
