import './require-node.ts';
import type { Page } from 'playwright-core';
import { type Question, SealedClient } from '../client/sealed-client.ts';
import type { JoinPage } from '../web-miner/ui/join-page.ts';
import type { TabCounts } from '../web-miner/work/lending-tab.ts';
import { median, rounded } from './bench/figures.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { type RunningNetwork, startNetwork } from './testing/running-network.ts';

/**
 * What it saves that the second turn of a chat goes to the tab that holds the first. Real tabs; several chats at once, so that tabs hold different ones. With: both
 * turns of a chat are one client's, so the router knows that they belong together. Without: each turn is asked by a client of its own, and the router takes
 * them for strangers. Both in turns, in one run. What was read is the engine's own count.
 */

const USAGE = 'npm run bench:prefix [-- --tabs N --chats N --rounds N --model NAME]';
const { values } = readArguments(USAGE, {
  tabs: { type: 'string', default: '3' },
  chats: { type: 'string', default: '3' },
  rounds: { type: 'string', default: '4' },
  model: { type: 'string', default: 'shoal-pup-3m:q8_0' },
});

/** Tokens of each answer. */
const TURN_TOKENS = { first: 40, second: 20 };
/** Sentences of the first question: about half of the embedded model's context. */
const SENTENCES = 16;

const WHO = ['captain', 'robot', 'teacher', 'neighbour', 'fox', 'gardener'];
const WHAT = ['the harbour', 'a red kite', 'the bridge', 'an apple tree', 'the lake', 'a loud machine'];

/** A beginning that no other chat shares. */
function beginning(chat: number): string {
  const sentences = Array.from({ length: SENTENCES }, (_, at) => {
    const pick = (of: readonly string[], step: number) => of[(chat * step + at) % of.length];
    return `On day ${chat}${at} the ${pick(WHO, 5)} looked for ${pick(WHAT, 7)}.`;
  });
  return `${sentences.join(' ')} What did they find?`;
}

interface Turn {
  readonly text: string;
  readonly firstMs: number;
}

async function ask(client: SealedClient, messages: Question['messages'], maxTokens: number): Promise<Turn> {
  const startedAt = performance.now();
  const sampling = { temperature: 0, seed: 1, maxTokens };
  const answer = await client.ask({ model: values.model, messages, sampling, level: 'none' });
  let text = '';
  let firstMs: number | null = null;
  for await (const update of answer.updates()) {
    if (update.type !== 'text') continue;
    firstMs ??= performance.now() - startedAt;
    text += update.text;
  }
  if (firstMs === null) throw new CommandError('A tab wrote nothing.');
  return { text, firstMs };
}

type Reading = Pick<TabCounts, 'promptTokens' | 'evaluatedTokens' | 'prefillMs'>;

/** What all tabs have read so far. */
async function readSoFar(tabs: readonly Page[]): Promise<Reading> {
  const each = await Promise.all(
    tabs.map((page) =>
      page.evaluate(() => {
        const phase = document.querySelector<JoinPage>('join-page')?.view;
        return phase?.phase === 'serving' ? phase.tab.counts : null;
      }),
    ),
  );
  const sum = (figure: keyof Reading) => each.reduce((total, counts) => total + (counts?.[figure] ?? 0), 0);
  return { promptTokens: sum('promptTokens'), evaluatedTokens: sum('evaluatedTokens'), prefillMs: sum('prefillMs') };
}

interface Round extends Reading {
  readonly firstMs: readonly number[];
}

/** Chats side by side, in two turns each; figures of the second turns. */
async function round(network: RunningNetwork, tabs: readonly Page[], first: number, isWarm: boolean): Promise<Round> {
  const clientOf = () => new SealedClient({ baseUrl: network.router.url, routerKey: network.routerKey });
  const chats = Array.from({ length: Number(values.chats) }, (_, at) => ({
    client: clientOf(),
    question: { role: 'user' as const, content: beginning(first + at) },
  }));
  const firsts = await Promise.all(chats.map(({ client, question }) => ask(client, [question], TURN_TOKENS.first)));
  const before = await readSoFar(tabs);
  const firstMs: number[] = [];
  for (const [at, { client, question }] of chats.entries()) {
    const messages = [
      question,
      { role: 'assistant' as const, content: firsts[at]?.text ?? '' },
      { role: 'user' as const, content: 'And then?' },
    ];
    const second = await ask(isWarm ? client : clientOf(), messages, TURN_TOKENS.second);
    firstMs.push(second.firstMs);
  }
  await Promise.all(tabs.map((page) => page.waitForTimeout(0))); // The last counts have reached their pages.
  const after = await readSoFar(tabs);
  return {
    firstMs,
    promptTokens: after.promptTokens - before.promptTokens,
    evaluatedTokens: after.evaluatedTokens - before.evaluatedTokens,
    prefillMs: after.prefillMs - before.prefillMs,
  };
}

function summary(rounds: readonly Round[]) {
  const turns = rounds.length * Number(values.chats);
  const perTurn = (figure: keyof Reading) => rounded(rounds.reduce((total, one) => total + one[figure], 0) / turns);
  return {
    prompt_tokens: perTurn('promptTokens'),
    evaluated_tokens: perTurn('evaluatedTokens'),
    prefill_ms: perTurn('prefillMs'),
    first_token_ms: rounded(median(rounds.flatMap(({ firstMs }) => firstMs))),
  };
}

await runCommand(async () => {
  const network = await startNetwork();
  try {
    const tabs = await network.lend(Number(values.tabs), { direct: false, model: values.model });
    const rounds: Record<'with' | 'without', Round[]> = { with: [], without: [] };
    let chat = 1;
    for (let at = 0; at < Number(values.rounds); at++) {
      for (const how of at % 2 === 0 ? (['with', 'without'] as const) : (['without', 'with'] as const)) {
        rounds[how].push(await round(network, tabs, chat, how === 'with'));
        chat += Number(values.chats);
      }
    }
    const figures = { with: summary(rounds.with), without: summary(rounds.without) };
    console.table(figures);
    const ratio = rounded(figures.with.evaluated_tokens / figures.without.evaluated_tokens);
    console.log(
      `The second turn of a chat: ${figures.with.evaluated_tokens} of ${figures.with.prompt_tokens} prompt tokens read where the first tab is meant, ${figures.without.evaluated_tokens} where any is: × ${ratio}.`,
    );
    console.log(
      JSON.stringify({
        name: 'bench-prefix',
        model: values.model,
        tabs: Number(values.tabs),
        second_turns: Number(values.rounds) * Number(values.chats),
        evaluated_ratio: ratio,
        figures,
      }),
    );
  } finally {
    await network.stop();
  }
});
