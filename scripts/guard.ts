import './require-node.ts';
import { guardPass } from '../router-worker/keys/router-keys.ts';
import { runHeadless, tabCount } from './browser/headless-tabs.ts';
import { readArguments, runCommand } from './command-line.ts';
import { operatorKeys } from './router/operator-secret.ts';

/** Headless tabs of the operator that only check: others cannot agree on a lie as long as one of these may be drawn. */

const USAGE = `npm run guard [-- --router URL --tabs N --model NAME:VARIANT]

  --router   the router to check for (http://localhost:8787)
  --tabs     guards to start, each a browser profile of its own (1)
  --model    what they check (shoal-pup-3m:q8_0)

The router's secret is read from SHOAL_ROUTER_SECRET, or from .dev.vars of npm start.`;

const { values } = readArguments(USAGE, {
  router: { type: 'string', default: 'http://localhost:8787' },
  tabs: { type: 'string', default: '1' },
  model: { type: 'string', default: 'shoal-pup-3m:q8_0' },
});

await runCommand(async () => {
  await runHeadless({
    url: values.router.replace(/\/+$/, ''),
    count: tabCount(values.tabs, '--tabs'),
    called: 'guard',
    model: values.model,
    direct: false,
    checkOnly: true,
    acceptsTerms: true, // The operator added the model, and read them then.
    guard: await guardPass(await operatorKeys()),
  });
});
process.exit();
