import type { LendView } from './lend-view.ts';

/** One line of the log that a person reads. */
export interface LogLine {
  readonly at: number;
  readonly text: string;
}

/** Lines kept: what somebody scrolls through. No line has anything of a prompt or an answer. */
export const MAX_LOG_LINES = 200;

/** What happened between two views of a tab, in sentences. Empty when nothing that a person would want to know. */
export function linesBetween(before: LendView, after: LendView): string[] {
  if (after.phase !== before.phase && after.phase !== 'serving') return [begins(after)].filter((line) => line !== '');
  if (after.phase !== 'serving') return [];
  if (before.phase !== 'serving') return [`Serves ${after.model}. ${after.because}`];
  const lines: string[] = [];
  const say = (happened: boolean, text: string) => {
    if (happened) lines.push(text);
  };
  const [was, is] = [before.tab, after.tab];
  say(is.working === 'answer' && was.working === null, 'Began to write an answer.');
  say(is.working === 'check' && was.working === null, 'Began to check another tab’s answer.');
  const more = (name: keyof typeof is.counts) => is.counts[name] > was.counts[name];
  say(more('answers'), `Finished an answer: ${is.counts.tokens} tokens written so far.`);
  say(more('checks'), 'Finished a check.');
  say(more('stopped'), 'Whoever asked stopped it.');
  say(more('failed'), 'A piece of work failed.');
  say(more('valid'), 'An answer of this tab was checked, and found right.');
  say(more('invalid'), 'An answer of this tab was checked, and found wrong.');
  say(more('disputed'), 'An answer of this tab is in dispute.');
  say(was.tab !== null && is.tab === null, 'The connection to the router broke.');
  say(was.tab === null && is.tab !== null, 'Connected to the router.');
  say(before.model !== after.model, `Changed over to ${after.model}.`);
  say(before.tested.at !== after.tested.at, TESTED[after.tested.outcome]);
  say(before.coming === null && after.coming !== null, `Downloads ${after.coming?.model} beside the work.`);
  const { missed } = after;
  say(
    missed !== null && missed.againAt !== before.missed?.againAt,
    `${missed?.model} did not take over: ${missed?.reason}`,
  );
  const [mayBefore, mayNow] = [before.budget, after.budget];
  if (!mayNow.may && mayNow.rule !== 'share' && (mayBefore.may || mayBefore.rule !== mayNow.rule)) {
    lines.push(`Takes no work: ${mayNow.because}`);
  }
  say(mayNow.may && !mayBefore.may && mayBefore.rule !== 'share', 'Takes work again.');
  say(after.aside === 'finishing' && before.aside !== 'finishing', 'Finishes what runs, and then stops.');
  return lines;
}

const TESTED = {
  right: 'Tested itself with a known answer: right.',
  steady: 'Tested itself: it writes the same twice.',
  slow: 'Tested itself: too slow at the moment to tell.',
  wrong: 'Tested itself with a known answer: wrong.',
} as const;

function begins(view: LendView): string {
  switch (view.phase) {
    case 'downloading':
      return `Downloads ${view.model}.`;
    case 'testing':
      return `Loaded ${view.model}; tries it out.`;
    case 'stopped':
      return 'Stopped. The model was unloaded.';
    case 'failed':
      return `Ended: ${view.reason}`;
    case 'elsewhere':
      return 'Another tab of this browser lends now.';
    default:
      return '';
  }
}
