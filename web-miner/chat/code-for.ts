import type { Exchange } from './exchange.ts';

/** Ways to do from code what was just done on the page. */
export const CODE_KINDS = ['client', 'openai', 'curl'] as const;
export type CodeKind = (typeof CODE_KINDS)[number];

export const CODE_NAMES: Readonly<Record<CodeKind, string>> = {
  client: 'Client package (sealed)',
  openai: 'OpenAI’s package',
  curl: 'curl',
};

/** What else the reader has to know of this way. */
export const CODE_NOTES: Readonly<Record<CodeKind, string>> = {
  client: 'The prompt is sealed where this runs: the router cannot read it.',
  openai: 'By plain HTTP the router can read prompt and answer.',
  curl: 'By plain HTTP the router can read prompt and answer.',
};

/** The code that asks this again. `withKey`: a key was used; it is named by a variable, never written out. Null before the request is known. */
export function codeFor(
  kind: CodeKind,
  { request, level, framesDirect }: Pick<Exchange, 'request' | 'level' | 'framesDirect'>,
  origin: string,
  withKey: boolean,
): string | null {
  if (request === null) return null;
  const body = JSON.stringify({ ...request, ...(level !== null && { shoal: { level } }) }, null, 2);
  switch (kind) {
    case 'client':
      return [
        `import { Shoal } from '${origin}/client/index.js';`,
        '',
        `const shoal = new Shoal({ baseUrl: '${origin}'${framesDirect > 0 ? ', directLinks: true' : ''}${withKey ? ', apiKey: SHOAL_API_KEY' : ''} });`,
        `const answer = await shoal.chat.completions.create(${body});`,
        'console.log(answer.choices[0].message.content);',
      ].join('\n');
    case 'openai':
      return [
        'import OpenAI from "openai";',
        '',
        `const openai = new OpenAI({ baseURL: '${origin}/v1', apiKey: ${withKey ? 'process.env.SHOAL_API_KEY' : "'none'"} });`,
        `const answer = await openai.chat.completions.create(${body});`,
        'console.log(answer.choices[0].message.content);',
      ].join('\n');
    case 'curl':
      return [
        `curl ${origin}/v1/chat/completions \\`,
        `  -H 'content-type: application/json' \\`,
        ...(withKey ? ['  -H "authorization: Bearer $SHOAL_API_KEY" \\'] : []),
        `  --data-binary ${quotedForShell(body)}`,
      ].join('\n');
  }
}

/** One argument of a POSIX shell, whatever is in it. */
function quotedForShell(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
