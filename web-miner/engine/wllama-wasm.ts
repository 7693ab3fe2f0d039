/** Address of the engine's WebAssembly among the built pages, relative to the page's origin. */
export { default as wllamaWasmUrl } from '@wllama/wllama/esm/wasm/wllama.wasm?url';
