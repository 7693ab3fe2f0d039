import { fileURLToPath } from 'node:url';
import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';
import { pageFrame } from './scripts/page-frame.ts';

const root = fileURLToPath(new URL('.', import.meta.url));
const page = (name: string) => `${root}web-miner/pages/${name}.html`;

/** The pages that the router serves as static files, and the three kinds of tests. */
export default defineConfig({
  root: 'web-miner/pages',
  publicDir: '../public',
  appType: 'mpa',
  plugins: [pageFrame()],
  build: {
    outDir: '../../dist',
    emptyOutDir: false, // `scripts/build.ts` empties it, but keeps the models.
    target: 'es2022',
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: {
        index: page('index'),
        join: page('join'),
        chat: page('chat'),
        network: page('network'),
        '404': page('404'),
        audit: page('audit'),
      },
    },
  },
  worker: { format: 'es' },
  test: {
    silent: 'passed-only', // The router logs every lifecycle transition.
    projects: [
      {
        root,
        test: {
          name: 'node',
          include: ['**/*.test.ts'],
          exclude: ['**/*.{workerd,e2e,gpu}.test.ts', '**/node_modules/**'],
          testTimeout: 20_000, // Milliseconds when alone; a busy machine may take its time.
        },
      },
      {
        root,
        plugins: [
          cloudflareTest({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: {
              cf: false,
              bindings: {
                SHOAL_ROUTER_SECRET: 'dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHkh',
                SHOAL_NETWORK_TASKS: 'off',
                SHOAL_ANONYMOUS: 'open',
              },
            },
          }),
        ],
        test: { name: 'workerd', include: ['router-worker/**/*.workerd.test.ts'] },
      },
      {
        root,
        test: {
          name: 'e2e',
          include: ['**/*.e2e.test.ts'],
          exclude: ['**/node_modules/**'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false, // Two cores: one browser at a time.
          sequence: { groupOrder: 1 }, // After the others: its commands build `dist/` anew.
        },
      },
    ],
  },
});
