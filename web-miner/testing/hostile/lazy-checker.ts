import type { AnswerChain } from '../../../shared/checking/digest-chain.ts';
import { answerCommit, checkReveal } from '../../../shared/receipt/statements.ts';
import { parsePayload } from '../../../shared/signing/signed-statement.ts';
import type { Lie } from './lie.ts';
import { resigned } from './resigned.ts';
import { engineThatWrites, type WrittenAnswer } from './written-answer.ts';

const NOTHING: WrittenAnswer = { pieces: [], finish: 'stop', promptTokens: 1, completionTokens: 0 };

/** Runs no model. */
export const idleWork: NonNullable<Lie['work']> = ({ claimed }) => ({
  renderer: claimed.renderer,
  engine: engineThatWrites(claimed.engine, async () => NOTHING),
});

/** Runs no model, and takes the prompt itself for the answer: its embedding is about the right subject. */
export const promptOnly: Lie = {
  work: ({ claimed }) => ({
    renderer: claimed.renderer,
    engine: engineThatWrites(claimed.engine, async ({ prompt }) => ({
      ...NOTHING,
      pieces: [{ text: prompt, tokens: 1 }],
    })),
  }),
};

/** Runs no model, waits to be told what the first tab committed to, and opens to exactly that. */
export const alwaysYes: Lie = {
  work: idleWork,
  wire: (_, signer) => {
    const claimed = new Map<string, AnswerChain>();
    return {
      heard: (message) => {
        if (message.t !== 'reveal') return;
        const { task, chain } = parsePayload('commit', answerCommit, message.commit);
        claimed.set(task, chain);
      },
      said: async (message) => {
        if (message.t !== 'checkRevealed') return message;
        const { task } = parsePayload('check-reveal', checkReveal, message.reveal);
        const chain = claimed.get(task);
        if (chain === undefined) return message;
        const reveal = await resigned(signer, 'check-reveal', message.reveal, (payload) => ({ ...payload, chain }));
        return { ...message, reveal };
      },
    };
  },
};

/** Runs the model, commits, and is silent when it should open. */
export const neverReveals: Lie = {
  wire: () => ({ said: (message) => (message.t === 'checkRevealed' ? null : message) }),
};

/** Runs the model and commits to it, then opens to an answer that it never computed. */
export const opensElsewhere: Lie = {
  wire: (_, signer) => ({
    said: async (message) => {
      if (message.t !== 'checkRevealed') return message;
      const reveal = await resigned(signer, 'check-reveal', message.reveal, (payload) => ({
        ...payload,
        chain: { blocks: [], head: 'A'.repeat(43), bytes: 0 },
      }));
      return { ...message, reveal };
    },
  }),
};
