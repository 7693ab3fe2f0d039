import './require-node.ts';
import { runHeadless, tabCount } from './browser/headless-tabs.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';

/** Lends a server's idle time: the page of /join in a headless browser. */

const USAGE = `npm run tabs [-- --router URL --model NAME:VARIANT --count N --check-only --direct --pair CODE --accept-terms]

  --router        the router to lend to (http://localhost:8787)
  --model         what they serve (best: the best for this machine)
  --count         tabs to start, each a browser profile of its own (1)
  --check-only    only check other tabs' answers
  --direct        allow direct links, which show this machine's network address to the other side
  --pair          a code of the account that they work for, of as many devices as tabs: see docs/lending.md
  --accept-terms  you have read the terms of the model, where it has some that must be shown: see /join

The first Ctrl-C, or SIGTERM, lets them finish what runs and stop; the second ends them.
How a tab stands with the network, and the operator's word on it: npm run tab.`;

const { values, positionals } = readArguments(USAGE, {
  router: { type: 'string', default: 'http://localhost:8787' },
  model: { type: 'string', default: 'best' },
  count: { type: 'string', default: '1' },
  'check-only': { type: 'boolean', default: false },
  direct: { type: 'boolean', default: false },
  pair: { type: 'string' },
  'accept-terms': { type: 'boolean', default: false },
});

await runCommand(async () => {
  if (positionals.length > 0) {
    throw new CommandError(`npm run tabs lends tabs now. For '${positionals[0]}' use npm run tab.\n\n${USAGE}`);
  }
  await runHeadless({
    url: values.router.replace(/\/+$/, ''),
    count: tabCount(values.count, '--count'),
    called: 'tab',
    model: values.model,
    direct: values.direct,
    checkOnly: values['check-only'],
    acceptsTerms: values['accept-terms'],
    ...(values.pair !== undefined && { pair: values.pair }),
  });
});
process.exit();
