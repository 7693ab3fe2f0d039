import { createHash, randomBytes } from 'node:crypto';
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import embedded from '../../models/embedded/catalogue.json' with { type: 'json' };
import { type LaunchedBrowser, launchBrowser } from '../../scripts/browser/launch-browser.ts';
import { type FileServer, serveFiles } from '../../scripts/testing/file-server.ts';
import { EXAM_FLAGS, openExamPage } from '../../scripts/testing/running-network.ts';
import type { Catalogue, VariantEntry } from '../../shared/classes/catalogue.ts';

/** A browser's own fetch, Cache storage and policy, with mirrors on another origin than the page. */

const MIB = 1024 * 1024;
const CONTENT = randomBytes(24 * MIB);
const SIZES = [16 * MIB, 8 * MIB];
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

let server: FileServer;
let browser: LaunchedBrowser;
beforeAll(async () => {
  server = await serveFiles();
  server.files.set('model.gguf', CONTENT);
  browser = await launchBrowser(() => undefined, EXAM_FLAGS);
});
afterAll(async () => {
  await browser.close();
  await server.close();
});

function mirroredAt(...mirrors: string[]): { variant: VariantEntry; models: Catalogue } {
  const [model] = (embedded as Catalogue).models;
  const pieces = SIZES.map((bytes, i) => ({
    sha256: digest(CONTENT.subarray(i * 16 * MIB, i * 16 * MIB + bytes)),
    bytes,
  }));
  const weights = {
    sha256: digest(CONTENT),
    bytes: CONTENT.length,
    pieces,
    files: [{ name: 'model.gguf', bytes: CONTENT.length, mirrors }],
    hosted: false,
    redirectOrigins: [],
  };
  const variant: VariantEntry = { id: 'q8_0', format: 'gguf', weights, memoryBytes: CONTENT.length, needs: [] };
  return { variant, models: { v: 2, models: [{ ...model!, variants: [variant] }] } };
}

const open = (profile: BrowserContext, models?: Catalogue): Promise<Page> =>
  openExamPage({ profile: async () => profile }, server.url.replace('127.0.0.1', 'localhost'), models);
const fetchIn = (page: Page, variant: VariantEntry) => page.evaluate((entry) => window.exam.fetchModel(entry), variant);

it('fetches from a mirror that the policy lets in, keeps it, and goes on after the tab died', async () => {
  const { variant, models } = mirroredAt(`${server.url}/gone/absent.gguf`, `${server.url}/good/model.gguf`);
  const profile = await browser.profile();
  const dying = await open(profile, models);
  server.chunkMs = 30;
  void fetchIn(dying, variant).catch(() => undefined);
  await dying.waitForFunction(() => window.exam.loadedBytes > 6_000_000);
  await dying.close();

  server.chunkMs = 0;
  server.ranges.length = 0;
  const page = await open(profile, models);
  const whole = { wholeBytes: CONTENT.length, storedBytes: CONTENT.length, usedAt: expect.any(Number) };
  const first = await fetchIn(page, variant);
  expect(first).toMatchObject({
    digest: digest(CONTENT),
    progress: { loadedBytes: CONTENT.length, keeping: 'kept' },
    stored: [{ ...whole, name: 'a:b', weights: digest(CONTENT) }],
  });
  expect(first.progress?.fromStoreBytes).toBeGreaterThan(2 * MIB);
  expect((first.progress?.fetchedBytes ?? 0) + (first.progress?.fromStoreBytes ?? 0)).toBe(CONTENT.length);
  for (const range of server.ranges) expect(range).toMatch(/^bytes=[1-9]\d*-\d+$/);
  expect((await fetchIn(page, variant)).progress).toMatchObject({ fromStoreBytes: CONTENT.length, fetchedBytes: 0 });
});

it('[D2] cannot connect to a mirror that the catalogue does not name', async () => {
  const { variant } = mirroredAt(`${server.url}/good/model.gguf`);
  server.ranges.length = 0;
  const page = await open(await browser.profile());
  await expect(fetchIn(page, variant)).rejects.toThrow(/The model could not be fetched: model\.gguf, piece \d/);
  expect(server.ranges).toEqual([]);
});
