import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './paths.ts';

/** The house, read off the code itself: who may import whom, one importing folder a vendor, no drawers, every law with a test. */

const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.ts'], { cwd: ROOT, encoding: 'utf8' })
  .split('\n')
  .filter((file) => file !== '' && !file.endsWith('.d.ts'));
const isTest = (file: string) => /\.(test|bench)\.ts$|\/testing\//.test(file);
const source = new Map(files.map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]));

function importsOf(file: string): string[] {
  return [...(source.get(file) ?? '').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
}

/** Imports of files of ours, as paths from the root. */
function edges(file: string): string[] {
  return importsOf(file)
    .filter((name) => name.startsWith('.'))
    .map((name) => normalize(join(dirname(file), name)).replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.ts'));
}

const folderOf = (file: string) => file.split('/')[0] ?? '';

describe('the structure', () => {
  it.each([
    ['shared', ['shared']],
    ['router-worker', ['router-worker', 'shared']],
    ['client', ['client', 'shared']],
    ['web-miner', ['web-miner', 'client', 'shared']],
    ['scripts', ['scripts', 'shared', 'web-miner', 'client', 'router-worker']],
  ])('%s imports only from %j', (folder, allowed) => {
    const wrong = files
      .filter((file) => folderOf(file) === folder && !isTest(file))
      .flatMap((file) => edges(file).map((edge) => [file, edge]))
      .filter(([, edge]) => !allowed.includes(folderOf(edge ?? '')));
    expect(wrong).toEqual([]);
  });

  it('has no import cycles of values', () => {
    const valueEdges = (file: string) =>
      [...(source.get(file) ?? '').matchAll(/^(?:import|export) (?!type)[^;]*?from '(\.[^']+\.ts)'/gms)].map((match) =>
        normalize(join(dirname(file), match[1] ?? '')).replaceAll('\\', '/'),
      );
    const state = new Map<string, 'open' | 'done'>();
    const cycles: string[] = [];
    const visit = (file: string, path: readonly string[]) => {
      if (state.get(file) === 'open') cycles.push([...path, file].join(' → '));
      if (state.has(file)) return;
      state.set(file, 'open');
      for (const edge of valueEdges(file)) visit(edge, [...path, file]);
      state.set(file, 'done');
    };
    for (const file of files.filter((name) => !isTest(name))) visit(file, []);
    expect(cycles).toEqual([]);
  });

  it.each([
    ['@wllama/wllama', 'web-miner/engine'],
    ['@mlc-ai/web-llm', 'web-miner/engine'],
    ['@huggingface/jinja', 'web-miner/engine'],
    ['@huggingface/gguf', 'scripts/models'],
    ['simple-peer', 'shared/peer'],
    ['hpke', 'shared/sealing'],
    ['hono', 'router-worker/http'],
    ['multipasta', 'router-worker/http'],
    ['marked', 'web-miner/markdown'],
    ['dompurify', 'web-miner/markdown'],
    ['uplot', 'web-miner/ui'],
    ['openai', 'scripts/demo'],
  ])('%s is imported in %s only', (vendor, folder) => {
    const importers = files
      .filter(
        (file) => !isTest(file) && importsOf(file).some((name) => name === vendor || name.startsWith(`${vendor}/`)),
      )
      .map(dirname);
    expect(new Set(importers).size).toBeGreaterThan(0);
    expect(importers.filter((importer) => importer !== folder)).toEqual([]);
  });

  it('opens databases of the browser where keys are kept, and where conversations are', () => {
    const importers = files.filter((file) => !isTest(file) && importsOf(file).includes('idb')).map(dirname);
    expect(new Set(importers)).toEqual(new Set(['web-miner/identity', 'web-miner/chat']));
  });

  it('has no file whose name tells nothing', () => {
    expect(files.filter((file) => /(^|\/)(utils?|helpers?|common|misc|types|manager)\b/i.test(file))).toEqual([]);
  });

  it('keeps fakes and exams out of the product', () => {
    const product = files.filter((file) => !isTest(file) && !file.startsWith('scripts/'));
    const leaks = product.flatMap((file) =>
      edges(file)
        .filter((edge) => /scripted-engine|engine-exam|\/testing\/|store-exam/.test(edge))
        .map((edge) => `${file} → ${edge}`),
    );
    expect(leaks).toEqual([]);
  });
});

describe('the laws', () => {
  const laws = [...readFileSync(join(ROOT, 'shared', 'SPEC.md'), 'utf8').matchAll(/^- \*\*([A-Z]\d+)\*\*/gm)].map(
    (match) => match[1],
  );
  const tests = files.filter((file) => file.endsWith('.test.ts')).map((file) => source.get(file) ?? '');
  const cited = new Set(tests.flatMap((text) => [...text.matchAll(/\[([A-Z]\d+)\]/g)].map((match) => match[1])));

  it('each have a name of their own', () => {
    expect(laws.filter((law, index) => laws.indexOf(law) !== index)).toEqual([]);
  });

  it('each have a test that names them', () => {
    expect(laws.filter((law) => !cited.has(law))).toEqual([]);
  });

  it('that tests name exist', () => {
    expect([...cited].filter((law) => !laws.includes(law))).toEqual([]);
  });
});
