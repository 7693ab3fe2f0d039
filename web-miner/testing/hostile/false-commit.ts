import { randomBytes, toBase64Url } from '../../../shared/bytes.ts';
import type { Signed } from '../../../shared/signing/signed-statement.ts';
import type { Lie } from './lie.ts';
import { resigned } from './resigned.ts';

/** Streams the model's answer and signs for another one. */
export const anotherCommit: Lie = {
  wire: (_, signer) => ({
    said: async (message) => {
      if (message.t !== 'committed') return message;
      const commit = await resigned(signer, 'commit', message.commit, (payload) => ({
        ...payload,
        chain: { blocks: [], head: toBase64Url(randomBytes(32)), bytes: 0 },
      }));
      return { ...message, commit };
    },
  }),
};

/** Sends the signed commit of its task before, as it was. */
export const replayedCommit: Lie = {
  wire: () => {
    let old: Signed | null = null;
    return {
      said: (message) => {
        if (message.t !== 'committed') return message;
        const commit = old ?? message.commit;
        old = message.commit;
        return { ...message, commit };
      },
    };
  },
};
