import OpenAI from 'openai';
import { ShoalError } from '../../shared/errors.ts';
import { receipt as receiptSchema } from '../../shared/receipt/receipt.ts';
import { parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';
import { checkReceipt, describeVerdict } from './check-receipt.ts';
import type { Report } from './report.ts';

export interface HttpQuestion {
  readonly url: string;
  readonly routerKey: string;
  readonly model: string;
  readonly prompt: string;
  readonly maxTokens: number;
  /** Bytes that left the tabs over direct links so far. */
  readonly linkBytes: () => Promise<number>;
}

interface TaskView {
  readonly status: string;
  readonly sent: { readonly relay_bytes: number; readonly direct_bytes: number } | null;
  readonly handed_on: { readonly path: string; readonly bytes: number } | null;
  readonly router_read: { readonly prompt_bytes: number; readonly answer_bytes: number };
}

const RECEIPT_DEADLINE_MS = 120_000;

/** Asks as any OpenAI client does, and reads the task and its receipt afterwards. */
export async function askByHttp(report: Report, question: HttpQuestion): Promise<void> {
  report.title('1. Plain HTTP: the openai package, streaming');
  report.say(`  > ${question.prompt}`);
  const client = new OpenAI({ baseURL: `${question.url}/v1`, apiKey: 'none', maxRetries: 0 });
  const linkBytesBefore = await question.linkBytes();
  const askedAt = performance.now();
  const stream = await client.chat.completions.create({
    model: question.model,
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: question.maxTokens,
    messages: [{ role: 'user', content: question.prompt }],
  });
  let firstAt = 0;
  let lastAt = 0;
  let id = '';
  let text = '';
  let tokens = 0;
  let isCut = false;
  process.stdout.write('  ');
  for await (const chunk of stream) {
    id = chunk.id;
    tokens = chunk.usage?.completion_tokens ?? tokens;
    isCut ||= chunk.choices[0]?.finish_reason === 'length';
    const piece = chunk.choices[0]?.delta.content ?? '';
    if (piece === '') continue;
    lastAt = performance.now();
    if (firstAt === 0) firstAt = lastAt;
    text += piece;
    process.stdout.write(piece.replaceAll('\n', '\n  '));
  }
  process.stdout.write('\n\n');
  report.step(
    'answer',
    text !== '' && tokens > 0,
    `${tokens} tokens${isCut ? ', cut at the limit' : ''}, ${Buffer.byteLength(text)} bytes`,
  );
  report.figure('path', 'client → router (HTTP) → tab (sealed, by relay)');
  report.figure('time to first token', `${Math.round(firstAt - askedAt)} ms`);
  report.figure('tokens per second', lastAt > firstAt ? ((tokens - 1) / ((lastAt - firstAt) / 1000)).toFixed(0) : '–');

  const receipt = await untilReceipt(question.url, id);
  const task = (await (await fetch(`${question.url}/v1/tasks/${id}`)).json()) as TaskView;
  const overLinks = (await question.linkBytes()) - linkBytesBefore;
  report.figure('sealed answer by relay', `${task.sent?.relay_bytes ?? 0} bytes`);
  report.figure('over WebRTC (getStats)', `${overLinks} bytes, tab to checking tab`);
  report.step(
    'check handed on tab to tab',
    task.handed_on?.path === 'direct' && overLinks > 0,
    task.handed_on === null
      ? 'not at all'
      : `${task.handed_on.path}, ${task.handed_on.bytes} bytes${task.handed_on.path === 'direct' ? '' : noLinkReason()}`,
  );
  report.figure(
    'content the router could read',
    `${task.router_read.prompt_bytes + task.router_read.answer_bytes} bytes: plain HTTP passes it in the clear`,
  );
  const { verdict } = parsePayload('receipt', receiptSchema, receipt);
  const cosine = verdict.value === 'unchecked' ? null : verdict.cosine;
  report.step('checked by another tab', verdict.value === 'valid', describeVerdict(verdict, cosine));
  await checkReceipt(report, receipt, question.routerKey);
}

async function untilReceipt(url: string, id: string): Promise<Signed> {
  const until = Date.now() + RECEIPT_DEADLINE_MS;
  while (Date.now() < until) {
    const response = await fetch(`${url}/v1/receipts/${id}`);
    if (response.ok) return (await response.json()) as Signed;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new ShoalError('receipt_pending', `The receipt was not there within ${RECEIPT_DEADLINE_MS / 1000} s.`);
}

/** Why a link may not open here, for the reader. */
export function noLinkReason(): string {
  return ' (no direct link opened; a machine whose only network interface is loopback has none)';
}
