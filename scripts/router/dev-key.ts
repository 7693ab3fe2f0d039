import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { parseEnv } from 'node:util';
import { operatorPass, routerKeys } from '../../router-worker/keys/router-keys.ts';

/** What the development key's account begins with, and what its checks are paid with where its tasks were charged nothing for them, micro-credits: 1,000 credits each. */
const FAUCET_CREDITS = 1_000_000_000;

/**
 * A key of the router on this machine, with credits out of its faucet. Made at the first start and kept beside the router's state, readable by its owner only;
 * made anew when the router does not know it any more. Throws when the router refuses.
 */
export async function ensureDevKey(routerUrl: string, secretFile: string, keyFile: string): Promise<string> {
  const kept = existsSync(keyFile) ? (await readFile(keyFile, 'utf8')).trim() : null;
  if (kept !== null && (await call(routerUrl, '/v1/account', kept)).ok) return kept;
  const pass = await operatorPass(await routerKeys(parseEnv(await readFile(secretFile, 'utf8')).SHOAL_ROUTER_SECRET));
  const made = await post<{ id: string; key: string; account: string }>(routerUrl, '/v1/keys', pass, {
    name: 'npm start',
  });
  const { id, account } = made;
  const gift = { account, amount: FAUCET_CREDITS };
  await post(routerUrl, '/v1/credits', pass, { ...gift, id: `${id}.own` });
  await post(routerUrl, '/v1/credits', pass, { ...gift, id: `${id}.checks`, for: 'checks' });
  await writeFile(keyFile, `${made.key}\n`, { mode: 0o600 });
  return made.key;
}

async function post<T>(routerUrl: string, path: string, pass: string, body: object): Promise<T> {
  const response = await call(routerUrl, path, pass, body);
  if (!response.ok) throw new Error(`${path} said ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

function call(routerUrl: string, path: string, bearer: string, body?: object): Promise<Response> {
  return fetch(routerUrl + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  });
}
