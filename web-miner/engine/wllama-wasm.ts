import { enginePath, WLLAMA_BUILD } from '../../shared/classes/wllama-build.ts';

/** Address of this release's WebAssembly, relative to the page's origin. */
export const wllamaWasmUrl = enginePath(WLLAMA_BUILD);
