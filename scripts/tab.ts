import './require-node.ts';
import { operatorPass } from '../router-worker/keys/router-keys.ts';
import type { TabView } from '../router-worker/record/record-book.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { operatorKeys } from './router/operator-secret.ts';

/** How a tab stands, and the operator's word on it. */

const USAGE = `npm run tab -- show TAB
npm run tab -- ban TAB CLASS
npm run tab -- pardon TAB CLASS

  --router   the router (http://localhost:8787)

ban and pardon need the router's secret: SHOAL_ROUTER_SECRET, or .dev.vars of npm start.`;

const { values, positionals } = readArguments(USAGE, {
  router: { type: 'string', default: 'http://localhost:8787' },
});

const STANDINGS: Readonly<Record<string, 'banned' | 'new'>> = { ban: 'banned', pardon: 'new' };

async function call(path: string, request: RequestInit): Promise<TabView> {
  const url = new URL(path, values.router);
  const response = await fetch(url, { ...request, signal: AbortSignal.timeout(20_000) }).catch(() => {
    throw new CommandError(`No router answers at ${values.router}.`);
  });
  const body = (await response.json()) as TabView & { error?: { message: string; next_step: string } };
  if (!response.ok) throw new CommandError(`${body.error?.message} ${body.error?.next_step}`);
  return body;
}

function show({ id, records }: TabView): void {
  console.log(id);
  if (records.length === 0) console.log('  The network has seen nothing of it yet.');
  for (const { class: id, standing, text, next, counts, waitsUntil } of records) {
    console.log(`  ${id}: ${standing}. ${text}`);
    if (waitsUntil !== null) console.log(`    It waits until ${new Date(waitsUntil).toISOString()}.`);
    console.log(
      `    ${Object.entries(counts)
        .map(([what, count]) => `${what} ${count}`)
        .join(', ')}. ${next}`,
    );
  }
}

await runCommand(async () => {
  const [action = '', tab = '', classId = ''] = positionals;
  const standing = STANDINGS[action];
  if ((action !== 'show' && standing === undefined) || tab === '') throw new CommandError(USAGE);
  if (standing === undefined) return show(await call(`/v1/tabs/${tab}`, {}));
  const pass = await operatorPass(await operatorKeys());
  show(
    await call(`/v1/tabs/${tab}/standing`, {
      method: 'POST',
      headers: { authorization: `Bearer ${pass}`, 'content-type': 'application/json' },
      body: JSON.stringify({ class: classId, standing }),
    }),
  );
});
