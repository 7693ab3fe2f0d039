/**
 * The WebAssembly engine that this release ships, as it enters class ids. A test compares the digest with the installed package,
 * so that a new version cannot slip in under the old class.
 */
export const WLLAMA_BUILD = {
  engine: 'wllama 3.8.1',
  engineBuild: '551f13439366eff11e057b1b91fe46a7fdac29d56d67372d4c5f19a549dfe70c',
} as const;

/** An engine as it enters class ids: package and version, SHA-256 of its WebAssembly, hex. */
export interface EngineBuild {
  readonly engine: string;
  readonly engineBuild: string;
}

/**
 * Every build that is still served, and the installed package that carries it. A release that ships another engine adds a row and keeps the old one, whose package
 * is then installed under an alias, as in `npm:@wllama/wllama@3.8.1`: answers of old classes stay auditable. The JavaScript around it is this release's; a build that
 * does not fit it needs an adapter of its own in `web-miner/engine`.
 */
export const ENGINE_BUILDS: readonly (EngineBuild & { readonly carriedBy: string })[] = [
  { ...WLLAMA_BUILD, carriedBy: '@wllama/wllama' },
];

/** Where an engine's WebAssembly lies below the router's address: by its digest, so that it can be checked and never changes. */
export function enginePath({ engineBuild }: EngineBuild): string {
  return `/engines/${engineBuild}.wasm`;
}
