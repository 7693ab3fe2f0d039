import type { EngineBuild } from './wllama-build.ts';

/**
 * The WebGPU engine that this release ships, as it enters class ids: the package's version, and the SHA-256 of the one file that it is (`lib/index.js`, with its
 * tokenizer inside). The shaders are not in it: they are the model's library, one of the files that the digest of the weights covers. A test
 * compares the digest with the installed package.
 */
export const WEB_LLM_BUILD: EngineBuild = {
  engine: 'web-llm 0.2.79',
  engineBuild: 'adf78adb083a12022ca09ad1612594b4c3b44f37ab9689b82671a2344f0cd606',
};
