import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { type ReceiptRead, readReceipt } from './read-trial.ts';
import type { TrialRequest } from './trial-requests.ts';

export interface Asked {
  /** The answer; null when it was refused. */
  readonly answer: { readonly text: string; readonly finish: string; readonly tokens: number } | null;
  /** Code of the error that the client got instead. */
  readonly refused: string | null;
  /** What the signed receipt says; null when the task was refused and has none yet. */
  readonly receipt: ReceiptRead | null;
}

export interface AskOptions {
  readonly url: string;
  readonly routerKey: string;
  readonly model: string;
  readonly checks: 1 | 2 | 3;
  /** Who asks: requests of one client and question are one session. */
  readonly client: string;
}

interface Completion {
  readonly choices: readonly [{ readonly message: { readonly content: string }; readonly finish_reason: string }];
  readonly usage: { readonly completion_tokens: number };
}

/** Longest wait for the answer and its verdict, ms: a checker that never reveals costs half a minute. */
const TRIAL_DEADLINE_MS = 120_000;

/** One chat request, its verdict, and its receipt, verified. Throws when a receipt does not hold, whatever the attack. */
export async function askTrial({ question, sampling }: TrialRequest, options: AskOptions): Promise<Asked> {
  const response = await fetch(`${options.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${options.client}` },
    body: JSON.stringify({
      model: options.model,
      messages: [{ role: 'user', content: question }],
      max_tokens: sampling.maxTokens,
      temperature: sampling.temperature,
      seed: sampling.seed,
      shoal: { level: 'cross', checks: options.checks, await_verdict: true },
    }),
    signal: AbortSignal.timeout(TRIAL_DEADLINE_MS),
  });
  if (!response.ok) {
    const { error } = (await response.json()) as { error: { code: string } };
    return { answer: null, refused: error.code, receipt: null };
  }
  const completion = (await response.json()) as Completion;
  const [{ message, finish_reason: finish }] = completion.choices;
  const signed = await fetch(`${options.url}/v1/receipts/${response.headers.get('shoal-task') ?? ''}`);
  const { receipt, problems } = await verifyReceipt(await signed.json(), { routerKey: options.routerKey });
  if (receipt === null || problems.length > 0) throw new Error(`a receipt does not hold: ${problems.join(' ')}`);
  return {
    answer: { text: message.content, finish, tokens: completion.usage.completion_tokens },
    refused: null,
    receipt: readReceipt(receipt),
  };
}
