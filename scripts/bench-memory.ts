import './require-node.ts';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { VariantEntry } from '../shared/classes/catalogue.ts';
import { estimateMemory } from '../shared/classes/memory-estimate.ts';
import { enginePath, WLLAMA_BUILD } from '../shared/classes/wllama-build.ts';
import { LIKELIEST } from '../shared/protocol/lease.ts';
import { type LaunchedBrowser, launchBrowser } from './browser/launch-browser.ts';
import { cutIntoPieces } from './models/cut-into-pieces.ts';
import { readGguf } from './models/read-gguf.ts';
import { EMBEDDED_MODELS, ROOT } from './paths.ts';
import { serveFiles } from './testing/file-server.ts';
import { EXAM_FLAGS, openExamPage } from './testing/running-network.ts';

/**
 * What a tab's process grows by when it loads a GGUF and writes with it, beside what the catalogue estimates: resident memory of Chromium's renderers, from Linux' own count. Just
 * after loading it still has what the download left.
 */

const { values } = parseArgs({
  options: {
    file: { type: 'string', default: join(EMBEDDED_MODELS, 'chat', 'shoal-pup-3M-instruct-q8_0.gguf') },
    context: { type: 'string', default: '512' },
  },
});
const contextTokens = Number(values.context);
const PROMPT = 'Hello there. '.repeat(30);

async function residentBytes({ browser }: LaunchedBrowser): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  try {
    const { processInfo } = await session.send('SystemInfo.getProcessInfo');
    const renderers = processInfo.filter(({ type }) => type === 'renderer');
    const each = await Promise.all(renderers.map(({ id }) => readFile(`/proc/${id}/status`, 'utf8')));
    return each.reduce((sum, status) => sum + Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024, 0);
  } finally {
    await session.detach();
  }
}

const server = await serveFiles();
const browser = await launchBrowser(() => undefined, EXAM_FLAGS);
try {
  const engine = await readFile(join(ROOT, 'node_modules', '@wllama', 'wllama', 'esm', 'wasm', 'wllama.wasm'));
  server.files.set(basename(enginePath(WLLAMA_BUILD)), engine);
  server.files.set('model.gguf', await readFile(values.file));
  const url = server.url.replace('127.0.0.1', 'localhost');
  const { shape, quantization } = await readGguf(values.file);
  const cut = await cutIntoPieces([values.file], null);
  const files = [{ name: 'model.gguf', bytes: cut.bytes, mirrors: [`${url}/m/model.gguf`] }];
  const variant: VariantEntry = {
    id: quantization,
    format: 'gguf',
    weights: { ...cut, files, hosted: false, redirectOrigins: [] },
    memoryBytes: estimateMemory(cut.bytes, shape, contextTokens),
    needs: [],
  };
  const page = await openExamPage(browser, url);
  const before = await residentBytes(browser);
  const options = { contextTokens, threads: 1, batchTokens: 64 };
  await page.evaluate(([entry, how]) => window.exam.loadEngine(entry, how), [variant, options] as const);
  const loaded = await residentBytes(browser);
  await page.evaluate(([prompt, sampling]) => window.exam.generateOne(prompt, sampling), [
    PROMPT,
    { ...LIKELIEST, maxTokens: 16 },
  ] as const);
  const wrote = await residentBytes(browser);
  console.log(
    JSON.stringify({
      name: 'memory',
      file: basename(values.file),
      contextTokens,
      weightsBytes: cut.bytes,
      estimatedBytes: variant.memoryBytes,
      grownAfterLoadingBytes: loaded - before,
      grownAfterWritingBytes: wrote - before,
    }),
  );
} finally {
  await browser.close();
  await server.close();
}
