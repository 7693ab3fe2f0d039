import { toBase64Url } from '../../shared/bytes.ts';
import type { Independence } from '../../shared/checking/draw.ts';
import { type Sure, sureOf } from '../../shared/checking/verdict.ts';
import { MAX_FRAME_BYTES } from '../../shared/limits.ts';
import { receipt as receiptSchema } from '../../shared/receipt/receipt.ts';
import { answerCommit } from '../../shared/receipt/statements.ts';
import { tokenCountOf } from '../../shared/receipt/token-count.ts';
import { entryOf } from '../../shared/receipt-log/log-api.ts';
import { MAX_FRAME_PAYLOAD_BYTES } from '../../shared/sealing/frames.ts';
import { parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';

/**
 * What everybody may know of a task that ended. Not its id, which opens the receipt with the client's key, the level and the names of the tabs: its entry in the public log
 * says that there is such a receipt, and tells whoever has it that this is it.
 */
export interface FinishedTask {
  /** Of the receipt in the public log, base64url. */
  readonly entry: string;
  readonly endedAt: number;
  readonly model: string;
  readonly variant: string;
  readonly answered: boolean;
  readonly sure: Sure;
  /** How far the most independent of those who checked it was from the tab that answered; null: nobody did. */
  readonly independence: Independence | null;
  /** How the answer's frames left the tab. */
  readonly relayBytes: number;
  readonly directBytes: number;
  readonly tokens: number;
}

/** Of a frame beside its text, bytes, at most: headers, tag and padding. */
const AROUND_TEXT = MAX_FRAME_BYTES - MAX_FRAME_PAYLOAD_BYTES;

const FARTHEST: readonly Independence[] = ['network', 'owner', 'key'];

/** Throws {@link ShoalError} for what is no receipt. */
export async function finishedTaskOf(statement: Signed): Promise<FinishedTask> {
  const receipt = parsePayload('receipt', receiptSchema, statement);
  const { endedAt, model, variant, outcome, verdict, checks, commit } = receipt;
  const said = commit === null ? null : parsePayload('commit', answerCommit, commit);
  const textBytes = said?.chain.bytes ?? 0;
  // A tab claims what it likes: but a token has a byte at least, and so has the text of a frame, but for those that end the answer.
  const mostSent = textBytes + AROUND_TEXT * (textBytes + 2);
  const checked = checks.filter(({ reveal }) => reveal !== null).map(({ independence }) => independence);
  return {
    entry: toBase64Url(await entryOf(statement)),
    endedAt,
    model,
    variant,
    answered: outcome.value === 'answered',
    sure: sureOf(verdict),
    independence: FARTHEST.find((grade) => checked.includes(grade)) ?? null,
    relayBytes: Math.min(said?.sent.relay.bytes ?? 0, mostSent),
    directBytes: Math.min(said?.sent.direct.bytes ?? 0, mostSent),
    tokens: Math.min(tokenCountOf(receipt)?.completion.counted ?? 0, textBytes + 1),
  };
}
