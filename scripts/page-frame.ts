import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Plugin } from 'vite';

const FRAME = 'frame.html';

/**
 * Puts each page into `frame.html` beside it, while the pages are built: the frame has what all of them have (head, header, navigation, footer), a page its title, scripts and
 * `<main>`. What is served is plain HTML, and no script of a page writes any of it.
 */
export function pageFrame(): Plugin {
  return {
    name: 'page-frame',
    transformIndexHtml: {
      order: 'pre', // Before Vite looks for scripts and styles: it finds those of the frame, too.
      handler: async (page, { filename }) => {
        const frame = await readFile(join(dirname(filename), FRAME), 'utf8');
        return framed(frame, page, basename(filename, '.html'));
      },
    },
  };
}

/** The whole document. `name`: that of the page's file; the link that leads to it is marked as the current one. Throws where page or frame lack a part. */
export function framed(frame: string, page: string, name: string): string {
  const path = name === 'index' ? '/' : `/${name}`;
  const parts = [
    ['<!-- head -->', partOf(page, /<head>([\s\S]*?)<\/head>/)],
    ['<!-- main -->', partOf(page, /(<main[\s\S]*?<\/main>)/)],
  ] as const;
  const whole = parts.reduce((text, [place, part]) => {
    if (!text.includes(place)) throw new Error(`the frame of the pages has no ${place}`);
    return text.replace(place, () => part.trim());
  }, frame);
  return whole.replace(`href="${path}">`, `href="${path}" aria-current="page">`);
}

function partOf(page: string, pattern: RegExp): string {
  const part = pattern.exec(page)?.[1];
  if (part === undefined) throw new Error(`a page lacks ${pattern}`);
  return part;
}
