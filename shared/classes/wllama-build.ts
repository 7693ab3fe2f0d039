/**
 * The WebAssembly engine that this release ships, as it enters class ids. A test compares the digest with the installed package,
 * so that a new version cannot slip in under the old class.
 */
export const WLLAMA_BUILD = {
  engine: 'wllama 3.8.1',
  engineBuild: '551f13439366eff11e057b1b91fe46a7fdac29d56d67372d4c5f19a549dfe70c',
} as const;
