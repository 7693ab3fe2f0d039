import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { buildClient } from './build-client.ts';
import { CACHE, ROOT } from './paths.ts';

/** What a page or package loads before anything is asked of it, gzipped. Chunks that are imported on demand do not count. */
const BUDGETS = [
  { name: 'join page before the engine', entry: 'join.html', kilobytes: 60 },
  { name: 'chat page before a direct link', entry: 'chat.html', kilobytes: 60 },
  { name: 'audit page before the engine', entry: 'audit.html', kilobytes: 60 },
  { name: 'client package', entry: 'client', kilobytes: 21 },
] as const;

interface ManifestEntry {
  readonly file: string;
  readonly src?: string;
  readonly imports?: readonly string[];
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

async function gzipped(folder: string, key: string, manifest: Manifest): Promise<number> {
  const files = new Set<string>();
  const visit = (name: string) => {
    const entry = manifest[name];
    if (entry === undefined || files.has(entry.file)) return;
    files.add(entry.file);
    for (const css of entry.css ?? []) files.add(css);
    for (const imported of entry.imports ?? []) visit(imported);
  };
  visit(key);
  if (key.endsWith('.html')) files.add(key);
  let bytes = 0;
  for (const file of files) bytes += gzipSync(await readFile(join(folder, file)), { level: 9 }).byteLength;
  return bytes;
}

const pages = join(CACHE, 'budget-pages');
const client = join(CACHE, 'budget-client');
await buildPages(pages);
await buildClient(client, true);

const sizes: Record<string, number> = {};
let held = true;
for (const { name, entry, kilobytes } of BUDGETS) {
  const folder = entry === 'client' ? client : pages;
  const manifest = JSON.parse(await readFile(join(folder, '.vite', 'manifest.json'), 'utf8')) as Manifest;
  const key = Object.keys(manifest).find((candidate) =>
    entry === 'client' ? candidate.endsWith('client/index.ts') : candidate.endsWith(entry),
  );
  if (key === undefined) throw new Error(`the build has no ${entry}`);
  const bytes = await gzipped(folder, key, manifest);
  const fits = bytes <= kilobytes * 1024;
  held &&= fits;
  sizes[name] = bytes;
  console.log(
    `${fits ? 'fits   ' : 'TOO BIG'}  ${(bytes / 1024).toFixed(1).padStart(5)} of ${kilobytes} KB gz  ${name}`,
  );
}
await rm(pages, { recursive: true, force: true });
await rm(client, { recursive: true, force: true });
console.log(JSON.stringify({ name: 'size-budgets', held, bytes: sizes }));
process.exitCode = held ? 0 : 1;
