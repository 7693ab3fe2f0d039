import { checkCommit, checkReveal } from '../../../shared/receipt/statements.ts';
import { parsePayload } from '../../../shared/signing/signed-statement.ts';
import { idleWork } from './lazy-checker.ts';
import type { Lie } from './lie.ts';
import { type Payload, resigned } from './resigned.ts';

/** Checks honestly, and lets the other tabs of its page read what it signed. */
export const informant: Lie = {
  wire: ({ accomplices }) => ({
    said: (message) => {
      if (message.t === 'checkCommitted') {
        const { task } = parsePayload('check-commit', checkCommit, message.commit);
        accomplices.tell('check-commit', task, message.commit.payload);
      }
      if (message.t === 'checkRevealed') {
        const { task } = parsePayload('check-reveal', checkReveal, message.reveal);
        accomplices.tell('check-reveal', task, message.reveal.payload);
      }
      return message;
    },
  }),
};

/** Runs no model: signs the commitment of another checker as its own, and opens it as that one did. */
export const copier: Lie = {
  work: idleWork,
  wire: ({ accomplices }, signer) => ({
    said: async (message) => {
      if (message.t === 'checkCommitted') {
        const { task } = parsePayload('check-commit', checkCommit, message.commit);
        const seen = accomplices.told('check-commit', task);
        if (seen === null) return message;
        const { commitment } = JSON.parse(seen) as Payload;
        const commit = await resigned(signer, 'check-commit', message.commit, (own) => ({ ...own, commitment }));
        return { ...message, commit };
      }
      if (message.t === 'checkRevealed') {
        const { task } = parsePayload('check-reveal', checkReveal, message.reveal);
        const seen = accomplices.told('check-reveal', task);
        if (seen === null) return message;
        // All but the lease, which names the checker.
        const reveal = await resigned(signer, 'check-reveal', message.reveal, ({ lease }) => ({
          ...(JSON.parse(seen) as Payload),
          lease,
        }));
        return { ...message, reveal };
      }
      return message;
    },
  }),
};
