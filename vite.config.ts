import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const page = (name: string) => fileURLToPath(new URL(`./web-miner/pages/${name}.html`, import.meta.url));

/** The pages that the router serves as static files. */
export default defineConfig({
  root: 'web-miner/pages',
  publicDir: '../public',
  appType: 'mpa',
  build: {
    outDir: '../../dist',
    emptyOutDir: false, // `scripts/build.ts` empties it, but keeps the models.
    target: 'es2022',
    modulePreload: { polyfill: false },
    // The HPKE package asks for Node's crypto only where there is no WebCrypto, which is no browser.
    rollupOptions: { external: ['crypto'], input: { index: page('index'), join: page('join'), chat: page('chat'), '404': page('404') } },
  },
  worker: { format: 'es', rollupOptions: { external: ['crypto'] } },
});
