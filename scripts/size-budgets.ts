import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { buildClient } from './build-client.ts';
import { CACHE, ROOT } from './paths.ts';

/** What a page or package loads before anything is asked of it, gzipped. Chunks that are imported on demand do not count, and are listed. */
const BUDGETS = [
  { name: 'first page', entry: 'index.html', kilobytes: 20 },
  { name: 'join page before the engine', entry: 'join.html', kilobytes: 60 },
  { name: 'chat page before a direct link', entry: 'chat.html', kilobytes: 60 },
  { name: 'network page before a chart', entry: 'network.html', kilobytes: 30 },
  { name: 'audit page before the engine', entry: 'audit.html', kilobytes: 60 },
  { name: 'client package', entry: 'client', kilobytes: 21 },
] as const;

/** What a lending tab's worker is before it fetches an engine for graphics processors, which only a tab with one does: by the beginning of its name. */
const WORKER = {
  name: 'worker of a lending tab, its engine for processors included',
  file: 'tab-worker-',
  kilobytes: 220,
} as const;

interface ManifestEntry {
  readonly file: string;
  readonly src?: string;
  readonly imports?: readonly string[];
  readonly dynamicImports?: readonly string[];
  readonly css?: readonly string[];
}
type Manifest = Readonly<Record<string, ManifestEntry>>;

async function buildPages(folder: string): Promise<void> {
  await build({
    configFile: join(ROOT, 'vite.config.ts'),
    logLevel: 'error',
    build: { outDir: folder, emptyOutDir: true, manifest: true },
  });
}

interface Weight {
  /** Loaded at once, bytes gzipped. */
  readonly first: number;
  readonly requests: number;
  /** Loaded when it is needed, by name: chunk and what it brings along that is not there already. */
  readonly later: readonly { readonly name: string; readonly bytes: number }[];
}

async function weightOf(folder: string, key: string, manifest: Manifest): Promise<Weight> {
  const first = filesFrom([key], manifest);
  if (key.endsWith('.html')) first.add(key);
  const visited = new Set<string>([key]);
  const later: { name: string; bytes: number }[] = [];
  const visit = async (name: string): Promise<void> => {
    for (const imported of manifest[name]?.imports ?? []) {
      if (visited.has(imported)) continue;
      visited.add(imported);
      await visit(imported);
    }
    for (const wanted of manifest[name]?.dynamicImports ?? []) {
      if (visited.has(wanted)) continue;
      visited.add(wanted);
      const bytes = await bytesOf(
        folder,
        [...filesFrom([wanted], manifest)].filter((file) => !first.has(file)),
      );
      const source = manifest[wanted]?.src ?? wanted;
      later.push({ name: source.slice(source.lastIndexOf('/') + 1).replace(/\.[jt]s$/, ''), bytes });
      await visit(wanted);
    }
  };
  await visit(key);
  return { first: await bytesOf(folder, first), requests: first.size, later };
}

function filesFrom(keys: readonly string[], manifest: Manifest): Set<string> {
  const files = new Set<string>();
  const visit = (name: string) => {
    const entry = manifest[name];
    if (entry === undefined || files.has(entry.file)) return;
    files.add(entry.file);
    for (const css of entry.css ?? []) files.add(css);
    for (const imported of entry.imports ?? []) visit(imported);
  };
  for (const key of keys) visit(key);
  return files;
}

async function bytesOf(folder: string, files: Iterable<string>): Promise<number> {
  let bytes = 0;
  for (const file of files) bytes += gzipSync(await readFile(join(folder, file)), { level: 9 }).byteLength;
  return bytes;
}

function kilobytesOf(bytes: number): string {
  return (bytes / 1024).toFixed(1).padStart(6);
}

const pages = join(CACHE, 'budget-pages');
const client = join(CACHE, 'budget-client');
await buildPages(pages);
await buildClient(client, true);

const sizes: Record<string, number> = {};
/** For docs/measurements.md, as Markdown. */
const rows: string[] = [];
let held = true;
for (const { name, entry, kilobytes } of BUDGETS) {
  const folder = entry === 'client' ? client : pages;
  const manifest = JSON.parse(await readFile(join(folder, '.vite', 'manifest.json'), 'utf8')) as Manifest;
  const key = Object.keys(manifest).find((candidate) =>
    entry === 'client' ? candidate.endsWith('client/index.ts') : candidate.endsWith(entry),
  );
  if (key === undefined) throw new Error(`the build has no ${entry}`);
  const { first: bytes, requests, later } = await weightOf(folder, key, manifest);
  const fits = bytes <= kilobytes * 1024;
  held &&= fits;
  sizes[name] = bytes;
  console.log(
    `${fits ? 'fits   ' : 'TOO BIG'}  ${kilobytesOf(bytes)} of ${kilobytes} KB gz in ${requests} files  ${name}`,
  );
  rows.push(
    `| ${name} | ${kilobytesOf(bytes).trim()} KB in ${requests} files | ${kilobytes} KB | ${later.map((chunk) => `${chunk.name} ${kilobytesOf(chunk.bytes).trim()}`).join(', ')} |`,
  );
  for (const chunk of later) console.log(`         ${kilobytesOf(chunk.bytes)} later: ${chunk.name}`);
}
const worker = (await readdir(join(pages, 'assets'))).find(
  (name) => name.startsWith(WORKER.file) && name.endsWith('.js'),
);
if (worker === undefined) throw new Error('the build has no worker for lending tabs');
const workerBytes = gzipSync(await readFile(join(pages, 'assets', worker)), { level: 9 }).byteLength;
sizes[WORKER.name] = workerBytes;
held &&= workerBytes <= WORKER.kilobytes * 1024;
console.log(
  `${workerBytes <= WORKER.kilobytes * 1024 ? 'fits   ' : 'TOO BIG'}  ${kilobytesOf(workerBytes)} of ${WORKER.kilobytes} KB gz  ${WORKER.name}`,
);
rows.push(`| ${WORKER.name} | ${kilobytesOf(workerBytes).trim()} KB | ${WORKER.kilobytes} KB | |`);
console.log(
  [
    '',
    '| | Loaded at once, gzipped | Budget | Later, when it is needed, KB |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n'),
);
await rm(pages, { recursive: true, force: true });
await rm(client, { recursive: true, force: true });
console.log(JSON.stringify({ name: 'size-budgets', held, bytes: sizes }));
process.exitCode = held ? 0 : 1;
