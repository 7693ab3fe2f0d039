import './require-node.ts';
import { randomUUID } from 'node:crypto';
import { operatorPass } from '../router-worker/keys/router-keys.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { operatorKeys } from './router/operator-secret.ts';

/** What the operator does with money: gives credits, and opens accounts. */

const USAGE = `npm run credits -- give ACCOUNT CREDITS    credits out of the faucet, in whole or broken numbers
npm run credits -- checks ACCOUNT CREDITS  for checks of its work that the account is not charged for
npm run credits -- open [NAME]             a new account, and its first key
npm run credits -- health                  whether the ledger adds up

  --router   the router (http://localhost:8787)
  --id       names the gift: the same id again gives nothing more (default: a new one)

give, checks and open need the router's secret: SHOAL_ROUTER_SECRET, or .dev.vars of npm start.`;

const MICRO = 1_000_000;

const { values, positionals } = readArguments(USAGE, {
  router: { type: 'string', default: 'http://localhost:8787' },
  id: { type: 'string', default: randomUUID() },
});

async function call(path: string, body?: object): Promise<Record<string, unknown>> {
  const pass = body === undefined ? null : await operatorPass(await operatorKeys());
  const response = await fetch(new URL(path, values.router), {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'content-type': 'application/json', ...(pass === null ? {} : { authorization: `Bearer ${pass}` }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  }).catch(() => {
    throw new CommandError(`No router answers at ${values.router}.`);
  });
  const reply = (await response.json()) as Record<string, unknown> & { error?: { message: string; next_step: string } };
  if (!response.ok) throw new CommandError(`${reply.error?.message} ${reply.error?.next_step}`);
  return reply;
}

await runCommand(async () => {
  const [action = '', what = '', credits = ''] = positionals;
  if (action === 'health') {
    console.log(JSON.stringify(await call('/v1/ledger/health'), null, 2));
  } else if (action === 'open') {
    const { account, key } = await call('/v1/keys', { name: what });
    console.log(`${account}\n${key}\nThe key is shown this once.`);
  } else if ((action === 'give' || action === 'checks') && Number(credits) > 0) {
    const amount = Math.round(Number(credits) * MICRO);
    const purpose = action === 'checks' ? { for: 'checks' } : {};
    await call('/v1/credits', { id: values.id, account: what, amount, ...purpose });
    console.log(`${what} was given ${amount} micro-credits (id ${values.id}).`);
  } else {
    throw new CommandError(USAGE);
  }
});
