import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { framed } from './page-frame.ts';
import { ROOT } from './paths.ts';

const PAGES = join(ROOT, 'web-miner', 'pages');

describe('the frame of the pages', () => {
  it('takes the head and the main of a page, and marks where the visitor is', () => {
    const frame = '<head><!-- head --></head><a href="/">Home</a><a href="/chat">Ask</a><!-- main -->';
    const page = '<head><title>Ask $& co</title></head><body><main id="main">here</main></body>';
    expect(framed(frame, page, 'chat')).toBe(
      '<head><title>Ask $& co</title></head><a href="/">Home</a><a href="/chat" aria-current="page">Ask</a><main id="main">here</main>',
    );
    expect(framed(frame, page, 'index')).toContain('<a href="/" aria-current="page">');
    expect(framed(frame, page, '404')).not.toContain('aria-current');
  });

  it('refuses a page without a main, and a frame without a place for it', () => {
    expect(() => framed('<!-- head --><!-- main -->', '<head></head>', 'chat')).toThrow('lacks');
    expect(() => framed('<!-- head -->', '<head></head><main></main>', 'chat')).toThrow('<!-- main -->');
  });

  it('gives every page a title and a description of its own, and no style or script within the page: the policy allows none', async () => {
    const frame = await readFile(join(PAGES, 'frame.html'), 'utf8');
    const names = (await readdir(PAGES)).filter((name) => name.endsWith('.html') && name !== 'frame.html');
    const titles = new Set<string>();
    for (const name of names) {
      const whole = framed(frame, await readFile(join(PAGES, name), 'utf8'), name.slice(0, -'.html'.length));
      expect(whole.match(/<title>/g), name).toHaveLength(1);
      expect(whole.match(/<meta name="description"/g), name).toHaveLength(1);
      expect(whole, name).not.toMatch(/<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)/);
      titles.add(/<title>(.*?)<\/title>/.exec(whole)?.[1] ?? '');
    }
    expect(titles.size).toBe(names.length);
  });
});
