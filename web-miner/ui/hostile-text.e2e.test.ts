import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningNetwork, startNetwork } from '../../scripts/testing/running-network.ts';
import { newExchange } from '../chat/exchange.ts';
import { HOSTILE_TEXTS } from '../testing/hostile-texts.ts';
import { lendViews } from '../testing/lend-views.ts';
import type { LendState } from './lend-state.ts';
import type { OwnerCard } from './owner-card.ts';
import type { ReceiptView } from './receipt-view.ts';

let network: RunningNetwork;

beforeAll(async () => {
  network = await startNetwork();
});
afterAll(() => network?.stop());

/** All that a text did in the page which it should not have: what ran, what the security policy had to stop, what was fetched from elsewhere. */
interface Watched {
  readonly page: Page;
  misdeeds(): Promise<readonly string[]>;
}

declare global {
  interface Window {
    ran(what: string): void;
  }
}

async function watchedPage(path: string, prepare: (page: Page) => Promise<unknown>): Promise<Watched> {
  const context = await network.browser.profile();
  const page = await context.newPage();
  const seen: string[] = [];
  const { host } = new URL(network.router.url);
  await page.exposeFunction('ran', (what: string) => void seen.push(`ran: ${what}`));
  await page.exposeFunction('blocked', (what: string) => void seen.push(`blocked by the policy: ${what}`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      (window as unknown as { blocked(what: string): void }).blocked(`${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  page.on('dialog', (dialog) => {
    seen.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  context.on('page', (opened) => seen.push(`opened: ${opened.url()}`));
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (!['blob:', 'data:'].includes(url.protocol) && url.host !== host) seen.push(`asked: ${url.href}`);
  });
  page.on('framenavigated', (frame) => {
    if (new URL(frame.url()).host !== host) seen.push(`went to ${frame.url()}`);
  });
  await prepare(page);
  await page.goto(network.router.url + path);
  return {
    page,
    async misdeeds() {
      await page.waitForTimeout(150); // Errors of pictures and the like come a moment later.
      return seen.splice(0);
    },
  };
}

/** Elements that have no place in a text, and attributes that are programs, however deep in shadow roots. */
function suspiciousIn(page: Page, place: string): Promise<string[]> {
  return page.evaluate((selector) => {
    const found: string[] = [];
    const bad = 'script,img,iframe,object,embed,video,audio,svg,math,form form,base,meta,link,style,template,marquee';
    const look = (root: ParentNode, isInside: boolean): void => {
      for (const element of root.querySelectorAll('*')) {
        const inside = isInside || element.matches(selector);
        if (inside && element.matches(bad)) found.push(element.outerHTML.slice(0, 120));
        for (const { name, value } of element.attributes) {
          const leads = /^(href|src|srcdoc|action|formaction|data|poster|xlink:href)$/i.test(name);
          if (/^on/i.test(name) || (leads && /^\s*(javascript|data|vbscript):/i.test(value))) {
            found.push(`${name}=${value}`);
          }
        }
        if (element.shadowRoot !== null) look(element.shadowRoot, inside);
      }
    };
    look(document, false);
    return found;
  }, place);
}

const json = (body: unknown) => ({ json: body });

const SHOAL = { task: `task_${'A'.repeat(46)}`, receipt: `rcpt_${'A'.repeat(46)}`, tab: 'tab', salt: 'A'.repeat(22) };

/** An answer by plain HTTP that says this, cut into pieces of a few characters. */
function eventsOf(text: string): string {
  const pieces = text.match(/[\s\S]{1,7}/g) ?? [];
  const chunks: unknown[] = pieces.map((content) => ({
    choices: [{ index: 0, delta: { content }, finish_reason: null }],
  }));
  chunks.push({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], shoal: { ...SHOAL, tab: text } });
  chunks.push({ choices: [], usage: { prompt_tokens: 1, completion_tokens: pieces.length } });
  return [...chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`), 'data: [DONE]\n\n'].join('');
}

describe('[V3] hostile text', () => {
  it('there are at least fifty of them, all different', () => {
    expect(new Set(HOSTILE_TEXTS).size).toBeGreaterThanOrEqual(50);
  });

  it('is found out by these tests where a page takes it for HTML', async () => {
    const { page, misdeeds } = await watchedPage('/', async () => undefined);
    let found = 0;
    for (const text of HOSTILE_TEXTS) {
      await page.evaluate((html) => {
        const place = document.createElement('main-text');
        place.innerHTML = html;
        document.body.append(place);
      }, text);
      if ([...(await misdeeds()), ...(await suspiciousIn(page, 'main-text'))].length > 0) found++;
      await page.evaluate(() => document.querySelector('main-text')?.remove());
    }
    // The others are Markdown, or need a click.
    expect(found).toBeGreaterThan(30);
    await page.context().close();
  });

  it('as an answer that is streamed, as the question, and as the name of a tab runs nothing and fetches nothing', async () => {
    let answer = '';
    const { page, misdeeds } = await watchedPage('/chat', async (opened) => {
      await opened.route('**/v1/chat/completions', (route) =>
        route.fulfill({ body: eventsOf(answer), contentType: 'text/event-stream' }),
      );
    });
    await page.locator('#private').uncheck();
    const found: Record<string, readonly string[]> = {};
    for (const text of HOSTILE_TEXTS) {
      answer = text;
      const state = await page.evaluate(async (question) => {
        const exchange = await document.querySelector('chat-page')!.ask(question);
        return exchange.answer === question ? exchange.state : exchange.note;
      }, text);
      expect(state, text).toBe('done');
      const bad = [...(await misdeeds()), ...(await suspiciousIn(page, 'chat-turn, chat-history'))];
      if (bad.length > 0) found[text] = bad;
      await page.locator('#new').click();
    }
    expect(found).toEqual({});
    await page.context().close();
  });

  it('shown all at once, opened, and clicked on, runs nothing and leads nowhere but to the web', async () => {
    let answer = '';
    const { page, misdeeds } = await watchedPage('/chat', async (opened) => {
      await opened.route('**/v1/chat/completions', (route) =>
        route.fulfill({ body: eventsOf(answer), contentType: 'text/event-stream' }),
      );
    });
    await page.locator('#private').uncheck();
    answer = HOSTILE_TEXTS.join('\n\n');
    await page.evaluate((question) => document.querySelector('chat-page')!.ask(question), 'all of them');
    for (const summary of await page.locator('chat-answer summary').all()) await summary.click();
    const links = await page.locator('markdown-view a').evaluateAll((all) =>
      all.map((link) => {
        const { protocol, rel, target, host } = link as HTMLAnchorElement;
        return { protocol, rel, target, isShown: (link.nextElementSibling?.textContent ?? '') === `(${host})` };
      }),
    );
    expect(links.length).toBeGreaterThan(1);
    for (const link of links) {
      expect(link).toEqual({
        protocol: 'https:',
        rel: 'noopener noreferrer nofollow',
        target: '_blank',
        isShown: true,
      });
    }
    for (const words of await page.locator('markdown-view').getByText('click').all()) {
      if (await words.evaluate((element) => element.closest('a') === null)) await words.click({ timeout: 2_000 });
    }
    expect(await misdeeds()).toEqual([]);
    await page.context().close();
  });

  it('in the card of a model runs nothing on /join and /chat', async () => {
    const all = HOSTILE_TEXTS.map((text, i) => ({
      id: text,
      shoal: {
        name: text,
        description: text,
        capabilities: ['chat'],
        context_tokens: 512,
        tabs: i,
        licence: { id: text, notice: text, url: text, must_show: true },
        variants: [
          { id: text, format: 'gguf', bytes: 5, memory_bytes: 5, needs: [], tabs: 0, classes: [{ id: text }] },
        ],
      },
    }));
    for (const path of ['/join', '/chat']) {
      const { page, misdeeds } = await watchedPage(path, (opened) =>
        opened.route('**/v1/models', (route) => route.fulfill(json({ object: 'list', data: all }))),
      );
      await page
        .locator('select#model option')
        .nth(HOSTILE_TEXTS.length - 1)
        .waitFor({ state: 'attached' });
      const select = page.locator('select#model');
      for (let i = 0; i < HOSTILE_TEXTS.length; i += 5) await select.selectOption({ index: i });
      expect([...(await misdeeds()), ...(await suspiciousIn(page, 'join-page, chat-composer'))], path).toEqual([]);
      await page.context().close();
    }
  });

  it('in what a tab says of itself, in how it stands, in its log, in the names of kept models and of the account that asks for it runs nothing on /join', async () => {
    const { page, misdeeds } = await watchedPage('/join', async () => undefined);
    await page.locator('#start:not([disabled])').waitFor();
    for (const text of HOSTILE_TEXTS) {
      await page.evaluate(
        async ({ views, text }) => {
          const join = document.querySelector('join-page')!;
          join.standing = { class: text, standing: text, text, next: text, waitsUntil: 1 };
          join.log = [{ at: 1, text }];
          const card = join.renderRoot.querySelector<OwnerCard>('owner-card')!;
          const money = { earned: 1, today: 1, collected: 1, waiting: 1, held: 1, lost: 1, step: 8 };
          card.told = { owner: text, name: text, ...money };
          card.trouble = text;
          await card.updateComplete;
          card.offered = { owner: text, devices: 1, expires_at: 1, code: text };
          await card.updateComplete;
          card.offered = null;
          const model = { weights: text, name: text, storedBytes: 1, wholeBytes: 2, usedAt: 1 };
          const shortage = { neededBytes: 1, freeBytes: 1, others: [model] };
          for (const view of [...views, { phase: 'shortage', shortage } as const, { phase: 'idle' } as const]) {
            join.view = view;
            await join.updateComplete;
            await join.renderRoot.querySelector<LendState>('lend-state')?.updateComplete;
          }
        },
        { views: lendViews(text), text },
      );
    }
    expect([...(await misdeeds()), ...(await suspiciousIn(page, 'join-page'))]).toEqual([]);
    await page.context().close();
  });

  it('in a receipt that is opened, in a conversation that is kept and in the system prompt runs nothing on /chat', async () => {
    const { page, misdeeds } = await watchedPage('/chat', async () => undefined);
    await page.locator('#model option').first().waitFor({ state: 'attached' });
    const exchange = {
      ...newExchange('q', null, true),
      state: 'done',
      task: SHOAL.task,
      receipt: { key: 'A'.repeat(43), payload: 'A', signature: 'A' },
    } as const;
    await page.evaluate((answer) => {
      document.querySelector('chat-page')!.turns = [{ question: 'q', answers: [answer], picked: 0 }];
    }, exchange);
    await page.getByText('Path and receipt').click();
    await page.getByText('This is not a signed receipt.').waitFor();
    await page.getByText('System prompt, sampling').click();
    for (const text of HOSTILE_TEXTS) {
      await page.evaluate(async (words) => {
        const find = (root: ParentNode, name: string): Element | null => {
          for (const element of root.querySelectorAll('*')) {
            if (element.localName === name) return element;
            const inner = element.shadowRoot === null ? null : find(element.shadowRoot, name);
            if (inner !== null) return inner;
          }
          return null;
        };
        const view = find(document, 'receipt-view') as ReceiptView;
        const receipt = {
          ...{ model: words, variant: words, level: words, standing: words, openedAt: 1, private: true },
          ...{ checks: [{ checker: words, independence: 'key' }], readers: [{ role: 'answer', key: words }] },
          ...{ sampling: { seed: words }, price: { charged: words } },
        };
        view.read = { state: 'read', problems: [words], receipt: receipt as never };
        view.logged = words;
        const chat = document.querySelector('chat-page')!;
        chat.kept = [{ id: words, title: words, at: 1, turns: [] }];
        chat.settings = { ...chat.settings, system: words };
        await Promise.all([view.updateComplete, chat.updateComplete]);
      }, text);
    }
    expect([...(await misdeeds()), ...(await suspiciousIn(page, 'chat-page'))]).toEqual([]);
    await page.context().close();
  });

  it('in what the router says of the network runs nothing on /network and on the first page', async () => {
    const totals = {
      answers: 1,
      unanswered: 0,
      tokens: 1,
      sure: { verified: 1, likely: 0, unverified: 0, disputed: 0, refuted: 0 },
      independence: { network: 0, owner: 0, key: 1 },
      relay_bytes: 1,
      direct_bytes: 0,
    };
    const figures = {
      at: 1,
      ...{ tabs: 1, free_tabs: 1, networks: 1, waiting: 0, tokens_per_second: 1 },
      models: HOSTILE_TEXTS.map((id) => ({
        id,
        ...{
          tabs: 1,
          free_tabs: 1,
          check_only_tabs: 0,
          tokens_per_second: 1,
          waiting: 0,
          expected_wait_ms: 0,
          for_tokens: 256,
        },
        speeds: { unmeasured: 0, slow: 0, steady: 0, fast: 1 },
      })),
      last_hour: totals,
      last_day: totals,
      recent: HOSTILE_TEXTS.map((text) => ({
        ...{
          entry: text,
          minute: 60_000,
          model: text,
          variant: text,
          answered: true,
          sure: 'verified',
          independence: 'key',
        },
      })),
    };
    for (const path of ['/network', '/']) {
      const { page, misdeeds } = await watchedPage(path, (opened) =>
        opened.route('**/v1/network', (route) => route.fulfill(json(figures))),
      );
      if (path === '/network') {
        const receipts = page.locator('recent-receipts details');
        await receipts.first().waitFor();
        await page.getByRole('button', { name: `All ${HOSTILE_TEXTS.length}` }).click();
        for (const receipt of await receipts.all()) await receipt.locator('summary').click();
        await receipts.first().getByRole('button').click();
      } else await page.getByText('1 tab swims').waitFor();
      expect([...(await misdeeds()), ...(await suspiciousIn(page, 'network-page, live-numbers'))], path).toEqual([]);
      await page.context().close();
    }
  });

  it('in a receipt, a transcript and the names of their files runs nothing on /audit', async () => {
    const { page, misdeeds } = await watchedPage('/audit', async () => undefined);
    for (const [i, text] of HOSTILE_TEXTS.entries()) {
      const receipt = { key: text, payload: text, signature: text };
      const transcript = {
        request: { model: text, messages: [{ role: text, content: text }] },
        response: { choices: [text] },
      };
      const name = `${text.replaceAll('/', '_').replaceAll('\u0000', '_').slice(0, 60)}${i}.json`;
      await page.locator('#pick').setInputFiles([
        { name, mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(receipt)) },
        { name: `t${name}`, mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(transcript)) },
      ]);
      await page.locator('#audit:not([disabled])').click();
      await page.getByText('That did not work').waitFor();
    }
    expect([...(await misdeeds()), ...(await suspiciousIn(page, 'audit-page'))]).toEqual([]);
    await page.context().close();
  });

  it('in what the router says when it refuses runs nothing on /chat', async () => {
    let message = '';
    const { page, misdeeds } = await watchedPage('/chat', async (opened) => {
      await opened.route('**/v1/tasks', (route) =>
        route.fulfill({ status: 503, ...json({ error: { code: 'overloaded', message, next_step: message } }) }),
      );
    });
    for (const text of HOSTILE_TEXTS) {
      message = text;
      const { state } = await page.evaluate(() => document.querySelector('chat-page')!.ask('x'));
      expect(state).toBe('failed');
    }
    expect([...(await misdeeds()), ...(await suspiciousIn(page, 'chat-turn'))]).toEqual([]);
    await page.context().close();
  });
});
