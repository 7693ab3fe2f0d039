import type { Page } from 'playwright-core';
import type { Exchange } from '../../web-miner/ui/chat-page.ts';
import { noLinkReason } from './ask-by-http.ts';
import { checkReceipt, describeVerdict } from './check-receipt.ts';
import type { Report } from './report.ts';

export interface PageQuestion {
  readonly url: string;
  readonly routerKey: string;
  readonly model: string;
  readonly prompts: readonly [string, string];
  readonly maxTokens: number;
}

const READING_MS = 1_500;

/** Opens `/chat` as a person would: the first prompt goes by relay while the link opens beside it, the second over the link. */
export async function askByPage(report: Report, page: Page, question: PageQuestion): Promise<void> {
  await page.goto(`${question.url}/chat`);
  await page.locator('#model').selectOption(question.model);
  await page.locator('#direct').check();
  const [first, second] = question.prompts;
  report.title('2. A page, first prompt: sealed in the page, by relay at once');
  await askOne(report, page, question, first, 'relay');
  // A person reads the first answer; the link opens meanwhile.
  await page.waitForTimeout(READING_MS);
  report.title('3. A page, second prompt: sealed, over WebRTC from its first byte');
  await askOne(report, page, question, second, 'direct');
}

async function askOne(
  report: Report,
  page: Page,
  question: PageQuestion,
  prompt: string,
  expected: 'relay' | 'direct',
): Promise<void> {
  report.say(`  > ${prompt}`);
  const exchange: Exchange = await page.evaluate(
    async ([text, maxTokens]) => {
      const chat = document.querySelector('chat-page');
      if (chat === null) throw new Error('the page has no chat');
      return chat.ask(text, { maxTokens });
    },
    [prompt, question.maxTokens] as const,
  );
  report.say(`  ${exchange.answer.replaceAll('\n', '\n  ')}\n`);
  report.step(
    'answer',
    exchange.answer !== '',
    exchange.state === 'done'
      ? `${exchange.tokens} tokens${exchange.isCut ? ', cut at the limit' : ''}`
      : exchange.note,
  );
  const frames = `${exchange.framesByRelay} frames by relay, ${exchange.framesDirect} direct`;
  const way = `prompt ${exchange.promptPath ?? 'not sent'}; ${frames}`;
  const held = exchange.promptPath === expected && (expected === 'relay' || exchange.framesByRelay === 0);
  report.step('path', held, held || expected === 'relay' ? way : `${way}${noLinkReason()}`);
  report.figure(
    'time to first token',
    exchange.firstTokenMs === null ? '–' : `${Math.round(exchange.firstTokenMs)} ms`,
  );
  report.figure('tokens per second', exchange.tokensPerSecond?.toFixed(0) ?? '–');
  report.figure('by relay', `${exchange.relayBytes} bytes, control messages and receipt included`);
  report.figure('over WebRTC (getStats)', `${exchange.directBytes} bytes`);
  const { readableBytes } = exchange;
  report.step(
    'content the router could read',
    readableBytes === 0,
    `${readableBytes ?? 'unknown'} bytes, by its own count`,
  );
  const { verdict, receipt } = exchange;
  const detail = verdict === null ? 'no verdict' : describeVerdict(verdict, exchange.cosine);
  report.step('checked by another tab', verdict?.value === 'valid', detail);
  if (receipt === null) report.step('receipt verified offline', false, 'there is none');
  else await checkReceipt(report, receipt, question.routerKey);
}
