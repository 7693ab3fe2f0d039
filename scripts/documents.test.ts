import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseChatRequest } from '../shared/protocol/chat-api.ts';
import { ERROR_POLICIES } from '../shared/refusals.ts';
import { readKnown } from './models/known-models.ts';
import { ROOT } from './paths.ts';

const PROGRAMS = /npm run ([\w:-]+)/g;

async function documents(): Promise<{ readonly name: string; readonly text: string }[]> {
  const inDocs = (await readdir(join(ROOT, 'docs')))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`);
  const names = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'shared/SPEC.md', ...inDocs];
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(join(ROOT, name), 'utf8') })));
}

describe('the documents', () => {
  it('promise no more of many tabs at once than the bench measured', async () => {
    const all = await documents();
    const textOf = (name: string) => all.find((document) => document.name === name)?.text ?? '';
    const [, tabs, promised] =
      /(\w+) of them (\d+\.\d) times as fast as one\s+\(`npm run bench:parts`\)/.exec(textOf('README.md')) ?? [];
    const [, measured] =
      /^\| 8 \| [\d.]+ \| ([\d.]+) \|/m.exec(textOf('docs/measurements.md').split('`npm run bench:parts`')[1] ?? '') ??
      [];
    expect([tabs, promised]).toEqual(['eight', (Math.floor(Number(measured) * 10) / 10).toFixed(1)]);
  });

  it('name no family of known models that is not known', async () => {
    const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
    const [, said] = /npm run models -- known +# models by name: (.+)/.exec(readme) ?? [];
    expect(said).toBe('Llama 3.2 and 3.1, SmolLM2, Qwen2.5, embedding models');
    const known = await readKnown();
    for (const family of ['llama-3.2', 'llama-3.1', 'smollm2', 'qwen2.5']) {
      expect(
        known.some(({ id }) => id.startsWith(family)),
        family,
      ).toBe(true);
    }
    expect(known.some(({ capabilities }) => capabilities.includes('embed'))).toBe(true);
  });

  it('list what each page loads as long as the command that measures it has a budget for it', async () => {
    const budgets = await readFile(join(ROOT, 'scripts', 'size-budgets.ts'), 'utf8');
    const budgeted = [...budgets.matchAll(/name: '([^']+)', entry: '[^']+', kilobytes: (\d+)/g)].map(
      ([, name, most]) => [name, most],
    );
    const table =
      (await readFile(join(ROOT, 'docs', 'measurements.md'), 'utf8')).split('## Sizes')[1]?.split('\n## ')[0] ?? '';
    const listed = [...table.matchAll(/^\| ([^|]+) \| [\d.]+ KB in \d+ files \| (\d+) KB \|/gm)].map(
      ([, name, most]) => [name, most],
    );
    expect(listed).toEqual(budgeted);
  });

  it('list every error with its status and next step, and no other', async () => {
    const text = await readFile(join(ROOT, 'docs', 'http-api.md'), 'utf8');
    const rows = [...text.matchAll(/^\| (\d{3}) \| `(\w+)` \| (.+) \|$/gm)].map(([, status, code, next]) => ({
      code,
      status: Number(status),
      next,
    }));
    expect(rows).toEqual(Object.entries(ERROR_POLICIES).map(([code, { status, next }]) => ({ code, status, next })));
  });

  it('list the fields that a chat request may have', async () => {
    const text = await readFile(join(ROOT, 'docs', 'http-api.md'), 'utf8');
    const table = text.slice(text.indexOf('## A chat request'), text.indexOf('Standard fields at the value'));
    const fields = [...table.matchAll(/^\| (`.+?`) \|/gm)].flatMap(([, names]) =>
      [...(names ?? '').matchAll(/`([\w.]+)`/g)].map(([, name]) => name ?? ''),
    );
    const request = {
      model: 'm',
      messages: [{ role: 'user', content: 'x' }],
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 1,
      max_completion_tokens: 1,
      temperature: 1,
      top_p: 1,
      frequency_penalty: 0,
      presence_penalty: 0,
      seed: 1,
      stop: 'x',
      n: 1,
      user: 'x',
      shoal: { level: 'none', checks: 2, await_verdict: true, redundancy: 2, session: 'sess_x', dry_run: true },
    };
    expect(parseChatRequest(request)).toMatchObject({ model: 'm', level: 'none', awaitVerdict: true });
    const accepted = Object.keys(request).flatMap((name) =>
      name === 'shoal'
        ? ['shoal.level', 'shoal.checks', 'shoal.await_verdict', 'shoal.redundancy', 'shoal.session', 'shoal.dry_run']
        : name === 'stream_options'
          ? ['stream_options.include_usage']
          : [name],
    );
    expect(new Set(fields)).toEqual(new Set(accepted));
  });

  it('name no npm script and no file that is not there', async () => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    for (const { name, text } of await documents()) {
      for (const [, script = ''] of text.matchAll(PROGRAMS))
        expect(scripts, `${name}: ${script}`).toHaveProperty([script]);
      for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
        expect(existsSync(join(ROOT, dirname(name), target)), `${name} links to ${target}`).toBe(true);
      }
    }
  });

  it('give no figure of a bench without naming its command', async () => {
    const text = await readFile(join(ROOT, 'docs', 'measurements.md'), 'utf8');
    for (const section of text.split(/^## /m).slice(1)) expect(section).toMatch(/^.*`npm run [\w:]+`/);
  });
});
