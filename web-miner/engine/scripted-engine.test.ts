import { describe, it } from 'vitest';
import { examWithout } from './engine-exam.ts';
import { ScriptedEngine } from './scripted-engine.ts';

const subject = {
  open: () => new ScriptedEngine({ prefillMsPerToken: 0.01, decodeMsPerToken: 0.5 }),
  weights: new Blob(['GGUF and the rest']),
  brokenWeights: [new Blob(['ELF']), new Blob([])],
  contextTokens: 256,
  prompt: 'Tell me of the sea and its tabs.',
};

describe('the scripted engine', () => {
  it.each(examWithout(['device']).sits)('$title', (examCase) => examCase.run(subject));
});
