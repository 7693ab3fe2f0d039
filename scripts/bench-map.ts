import './require-node.ts';
import type { MapEvent, MapResult } from '../router-worker/segmentation/map-run.ts';
import { rounded } from './bench/figures.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { type RunningNetwork, startNetwork } from './testing/running-network.ts';

/**
 * A document of 200 KB mapped and reduced by real tabs with the embedded model, one of which is closed when half of the parts are there. Exit status 0 only when
 * every part is answered, in the order of the document, and the whole was made one.
 */

const USAGE = 'npm run bench:map [-- --tabs N --kilobytes N --tokens N]';
const { values } = readArguments(USAGE, {
  tabs: { type: 'string', default: '3' },
  kilobytes: { type: 'string', default: '200' },
  tokens: { type: 'string', default: '24' },
});

const WHO = ['The old captain', 'A small robot', 'The teacher', 'My neighbour', 'A young fox', 'The gardener'];
const DOES = ['walked to', 'painted', 'forgot', 'wrote about', 'repaired', 'dreamed of'];
const WHAT = ['the harbour', 'a red kite', 'the broken bridge', 'an apple tree', 'the quiet lake', 'a loud machine'];

/** Sentences that differ, until there are enough of them. */
function documentOf(bytes: number): string {
  const sentences: string[] = [];
  for (let length = 0, at = 0; length < bytes; at++) {
    const pick = (of: readonly string[], step: number) => of[Math.floor(at / step) % of.length];
    const sentence = `${pick(WHO, 1)} ${pick(DOES, 6)} ${pick(WHAT, 36)} on day ${at + 1}. `;
    sentences.push(sentence);
    length += sentence.length;
  }
  return sentences.join('');
}

async function* eventsOf(response: Response): AsyncGenerator<MapEvent, void, undefined> {
  if (!response.ok || response.body === null) {
    throw new CommandError(`The router answered ${response.status}: ${await response.text()}`);
  }
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const event = text.slice(0, end);
      text = text.slice(end + 2);
      if (!event.startsWith('data: ') || event === 'data: [DONE]') continue;
      const told = JSON.parse(event.slice(6)) as MapEvent | { error: { message: string } };
      if ('type' in told) yield told;
      else throw new CommandError(told.error?.message ?? event);
    }
  }
}

async function measure(network: RunningNetwork): Promise<void> {
  const tabs = await network.lend(Number(values.tabs), { direct: false });
  const document = documentOf(Number(values.kilobytes) * 1024);
  const startedAt = performance.now();
  const seconds = () => (performance.now() - startedAt) / 1000;
  const response = await fetch(`${network.router.url}/v1/map`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'shoal-pup-3m:q8_0',
      document,
      instruction: 'Say in one sentence what this is about.',
      reduce: 'Make one sentence of these.',
      max_tokens: Number(values.tokens),
      stream: true,
      shoal: { level: 'none' },
    }),
  });
  let killedAt: number | null = null;
  let splits = 0;
  let levels = 0;
  let told = 0;
  let result: MapResult | null = null;
  for await (const event of eventsOf(response)) {
    if (event.type === 'planned')
      console.log(`${document.length} bytes in ${event.parts} parts on ${tabs.length} tabs.`);
    else if (event.type === 'split') splits++;
    else if (event.type === 'reducing') {
      levels++;
      console.log(`  ${rounded(seconds(), 1)} s: ${event.answers} answers into ${event.into}`);
    } else if (event.type === 'progress') {
      told++;
      if (event.done % 25 === 0) console.log(`  ${rounded(seconds(), 1)} s: ${event.done} of ${event.of} parts`);
      if (killedAt !== null || event.done < event.of / 2) continue;
      killedAt = seconds();
      console.log(`  ${rounded(killedAt, 1)} s: one tab is closed`);
      await tabs[0]?.context().close();
    } else if (event.type === 'result') result = event;
  }
  if (result === null) throw new CommandError('The stream ended without a result.');
  let at = 0;
  let inOrder = true;
  for (const { start, end } of result.parts) {
    inOrder &&= start === at;
    at = end;
  }
  const answered = result.parts.filter(({ error }) => error === null).length;
  const tasks = result.parts.flatMap((part) => (part.error === null ? [part.shoal.task] : []));
  const holds = {
    completed: result.status === 'completed' && result.result !== null,
    every_part_answered: answered === result.parts.length,
    in_order_and_whole: inOrder && at === document.length,
    nothing_twice: new Set(tasks).size === tasks.length,
    told_as_it_came: told >= answered,
    a_tab_was_closed: killedAt !== null,
  };
  console.log(`In ${rounded(seconds(), 1)} s: ${JSON.stringify(result.result)}`);
  for (const [what, held] of Object.entries(holds))
    console.log(`  ${held ? 'held' : 'FAILED'}: ${what.replaceAll('_', ' ')}`);
  if (Object.values(holds).includes(false)) process.exitCode = 1;
  console.log(
    JSON.stringify({
      name: 'bench-map',
      bytes: document.length,
      parts: result.parts.length,
      splits,
      tabs: tabs.length,
      closed_at_s: killedAt === null ? null : rounded(killedAt, 1),
      levels,
      hedges: result.shoal.hedges,
      seconds: rounded(seconds(), 1),
      tokens: result.usage.total_tokens,
      holds,
    }),
  );
}

await runCommand(async () => {
  const network = await startNetwork();
  try {
    await measure(network);
  } finally {
    await network.stop();
  }
});
