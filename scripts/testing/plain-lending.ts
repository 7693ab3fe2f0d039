import type { PlainBrowser, PlainPage } from '../browser/plain-browser.ts';

/** `/join` in a browser that keeps no page awake, and what its router was told. */
export interface PlainLending {
  readonly page: PlainPage;
  /** What the tab said to the router since the last call: `hello 1` and `ready 1` take work with one model, `ready 0` takes none, `bye`. */
  told(): readonly string[];
  click(selector: string): Promise<void>;
  /** Text of the first such element, whatever shadow root it is in. */
  text(selector: string): Promise<string>;
}

/** Words of a tab that say how it stands; proofs, keys and work are left out. */
const STANDING = ['hello', 'ready', 'bye'];

/** As a script in the page finds an element through shadow roots. */
const DEEP = `const deep = (s, r = document) =>
  r.querySelector(s) ?? [...r.querySelectorAll('*')].map((e) => e.shadowRoot && deep(s, e.shadowRoot)).find(Boolean) ?? null;`;

/** An expression in the page, in which `deep(selector)` finds an element through shadow roots. */
export const inPage = (expression: string) => `(() => { ${DEEP} return ${expression}; })()`;

/** Opens the page, and looks at it without pressing anything. `hash`: `whole-machine` switches the rules of comfort off. `prepare` acts on the empty tab before. */
export async function openJoin(
  browser: PlainBrowser,
  url: string,
  hash = 'whole-machine',
  prepare: (page: PlainPage) => Promise<void> = async () => undefined,
): Promise<PlainLending> {
  const page = await browser.open('about:blank');
  await prepare(page);
  await page.send('Page.navigate', { url: `${url}/join#${hash}` });
  let seen = 0;
  await page.until(inPage(`deep('#model option:nth-child(2)') !== null`), 'the list of models is there');
  return {
    page,
    told() {
      const messages = page.sent.slice(seen).filter((text) => text.startsWith('{')); // Others are heartbeats.
      const news = messages.map((text) => JSON.parse(text) as { t: string; models?: unknown[] });
      seen = page.sent.length;
      return news
        .filter(({ t }) => STANDING.includes(t))
        .map(({ t, models }) => (models === undefined ? t : `${t} ${models.length}`));
    },
    click: (selector) => page.evaluate(inPage(`void deep('${selector}').click()`), true),
    text: (selector) => page.evaluate(inPage(`deep('${selector}')?.textContent.trim().replace(/\\\\s+/g, ' ') ?? ''`)),
  };
}

/** Presses the button with the small model, and waits until the tab serves. */
export async function lendPlainly(lending: PlainLending, model: string): Promise<void> {
  const { page, click } = lending;
  await page.evaluate(
    inPage(
      `((select) => { select.value = '${model}'; select.dispatchEvent(new Event('change', { bubbles: true })); })(deep('#model'))`,
    ),
  );
  await page.until(inPage(`deep('#start:not([disabled])') !== null`), 'the tab can start');
  await click('#start');
  await page.until(inPage(`deep('#answers') !== null`), 'the tab serves', 60_000);
}
