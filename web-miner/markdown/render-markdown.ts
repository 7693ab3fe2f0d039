import DOMPurify from 'dompurify';
import { Marked, type Tokens } from 'marked';

/** What an answer may be made of. No picture, no frame, no form, no style: nothing that fetches or runs. */
const TAGS = [
  ...['p', 'br', 'hr', 'strong', 'em', 'del', 'code', 'pre', 'span', 'h3', 'a', 'div'],
  ...['ul', 'ol', 'li', 'blockquote', 'table', 'thead', 'tbody', 'tr', 'th', 'td'],
];
const ATTRIBUTES = ['href', 'target', 'rel', 'class', 'tabindex', 'role', 'aria-label', 'align', 'start'];
/** Where a link of an answer may lead. Anything else is shown as its text. */
const SCHEMES = ['https:', 'http:', 'mailto:'];

const marked = new Marked({
  gfm: true,
  async: false,
  renderer: {
    /** HTML of an answer is text of an answer. */
    html: ({ text }) => escaped(text),
    /** A picture would tell its host who reads the answer, and when. */
    image: ({ href, text }) => link(href, escaped(text === '' ? 'picture' : `picture: ${text}`)),
    link({ href, tokens }) {
      return link(href, this.parser.parseInline(tokens));
    },
    /** All of one rank below the page's own headings, whatever the answer calls them: those who hear the page keep their way in it. */
    heading({ tokens, depth }) {
      return `<h3 class="depth-${depth}">${this.parser.parseInline(tokens)}</h3>`;
    },
    code({ text, lang }) {
      const language = /^[\w+#.-]{1,24}/.exec(lang ?? '')?.[0];
      const label = language === undefined ? 'Code' : `Code: ${language}`;
      return `<pre tabindex="0" role="group" aria-label="${escaped(label)}"><code>${escaped(text)}</code></pre>`;
    },
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
    table(token: Tokens.Table) {
      const row = (cells: readonly Tokens.TableCell[], tag: 'th' | 'td') =>
        `<tr>${cells.map(({ tokens, align }) => `<${tag}${align === null ? '' : ` align="${align}"`}>${this.parser.parseInline(tokens)}</${tag}>`).join('')}</tr>`;
      const body = token.rows.map((cells) => row(cells, 'td')).join('');
      return `<div class="scroll" tabindex="0" role="group" aria-label="Table"><table><thead>${row(token.header, 'th')}</thead><tbody>${body}</tbody></table></div>`;
    },
  },
});

/** Markdown of somebody who may be hostile, as nodes that run nothing and fetch nothing. */
export function renderMarkdown(source: string): DocumentFragment {
  return DOMPurify.sanitize(marked.parse(source, { async: false }), {
    RETURN_DOM_FRAGMENT: true,
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    SANITIZE_NAMED_PROPS: true,
  });
}

/** The link with its host beside it: the text is the answer's, the host is where it leads. */
function link(href: string, inner: string): string {
  const url = URL.canParse(href) ? new URL(href) : null;
  if (url === null || !SCHEMES.includes(url.protocol)) return inner;
  const host = url.protocol === 'mailto:' ? 'mail' : url.host;
  return `<a href="${escaped(url.href)}" target="_blank" rel="noopener noreferrer nofollow">${inner}</a> <span class="host">(${escaped(host)})</span>`;
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
