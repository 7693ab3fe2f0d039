import { type Bytes, fromBase64Url, utf8 } from '../../bytes.ts';
import { type AnswerChain, DigestChain, type FinishReason } from '../../checking/digest-chain.ts';
import { FrameSealer } from '../../sealing/frames.ts';
import type { SecretExporter } from '../../sealing/hpke.ts';

export interface ScriptedAnswer {
  /** One frame a part, then the last one. */
  readonly frames: readonly Bytes[];
  readonly chain: AnswerChain;
}

/** The frames of an honest tab, or of one that lies about its chain or its end. */
export async function scriptAnswer(
  exporter: SecretExporter,
  salt: string,
  parts: readonly string[],
  lie: { readonly finish?: FinishReason; readonly progressOf?: number; readonly head?: string } = {},
): Promise<ScriptedAnswer> {
  const finish = lie.finish ?? 'stop';
  const chain = await DigestChain.start(fromBase64Url(salt));
  const sealer = new FrameSealer(exporter, 'answer', { pad: true });
  const frames: Bytes[] = [];
  const seal = async (kind: 'text' | 'end', payload: Bytes) => {
    const progress = frames.length === lie.progressOf ? { blocks: 0, chain: new Uint8Array(16) } : chain.progress;
    frames.push(await sealer.seal({ kind, tokens: kind === 'text' ? 3 : 0, payload, ...progress }, kind === 'end'));
  };
  for (const part of parts) {
    await chain.append(utf8(part));
    await seal('text', utf8(part));
  }
  const whole = await chain.finish(finish);
  const end = { finish, promptTokens: 4, completionTokens: 3 * parts.length, head: lie.head ?? whole.head };
  await seal('end', utf8(JSON.stringify(end)));
  return { frames, chain: whole };
}
