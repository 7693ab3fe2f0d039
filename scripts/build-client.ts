import { join } from 'node:path';
import { build } from 'vite';
import { ROOT } from './paths.ts';

/** Loaded when first used: OpenAI's requests, direct links, and the verification of receipts. */
const ON_DEMAND =
  /chat-api|field-errors|inherited-names|direct-path|direct-links|page-link-port|peer-link|simple-peer|message-chunks|signaling|receipt\/|similarity|classes\/|checking\/(draw|tally|standing|rung|forced-decode|next-token|probe-statistics|seeded-draws|nucleus|limits-of)/;

/** The client package as one file for pages, `index.js`, and parts that it loads on demand. The router serves it at `/client/`. */
export async function buildClient(outDir: string, manifest: boolean): Promise<void> {
  await build({
    configFile: false,
    root: ROOT,
    logLevel: 'error',
    publicDir: false,
    build: {
      outDir,
      emptyOutDir: true,
      manifest,
      target: 'es2022',
      lib: { entry: join(ROOT, 'client', 'index.ts'), formats: ['es'], fileName: 'index' },
      rollupOptions: {
        output: {
          minify: true,
          comments: false,
          codeSplitting: { groups: [{ name: 'core', test: (id: string) => !ON_DEMAND.test(id) }] },
        },
      },
    },
  });
}
