import type { Level } from '../../shared/protocol/level.ts';
import type { PricedReceipt } from '../../shared/receipt/price-lines.ts';
import type { Terms } from '../billing/bill.ts';
import type { EndedTask } from '../task/task.ts';

/** Ended tasks and their receipts, as far as a bill looks at them, for tests. */

const statement = (payload: object) => ({ payload: JSON.stringify(payload), key: '', signature: '' });
const key = (fill: string) => fill.repeat(43);
const TAIL = 'a'.repeat(46);

/** What a tab says of an answer of 200 bytes. */
function commitOf(prompt: number, completion: number, bytes = 200) {
  return {
    v: 1,
    task: TAIL,
    lease: key('l'),
    class: `cls_${'c'.repeat(22)}`,
    prompt: key('p'),
    chain: {
      blocks: Array.from({ length: Math.floor(bytes / 64) }, () => 'A'.repeat(22)),
      head: key('A'),
      bytes,
    },
    finish: 'stop',
    tokens: { prompt, completion },
    embedding: null,
    sent: { relay: { frames: 1, bytes: 1 }, direct: { frames: 0, bytes: 0 } },
  };
}

/** Of a model at 10 micro-credits a token. */
export const terms = (level: Level, part: Partial<Terms> = {}): Terms => ({
  prices: { q8_0: 10 },
  level,
  wanted: 1,
  sla: 'standard',
  promptTokens: 100,
  tokens: 300,
  ...part,
});

export type Verdict = EndedTask['verdict'];
/** What is said of an answer that nobody checked. */
export const unchecked = (reason: Extract<Verdict, { value: 'unchecked' }>['reason']): Verdict => ({
  value: 'unchecked',
  reason,
});
/** What executions say of it. */
export const judged = (value: 'valid' | 'invalid' | 'disputed', agree: number, differ: number): Verdict => ({
  value,
  method: 'exact-re-execution',
  blocks: 4,
  falseBlock: value === 'valid' ? null : 0,
  agree,
  differ,
  cosine: null,
});

/** What became of a task. */
export interface Scene {
  readonly verdict: Verdict;
  readonly outcome?: EndedTask['outcome'];
  readonly tokens?: readonly [number, number];
  readonly bytes?: number;
  /** What each check found: `same`, or the head that it wrote; null when it was lost. */
  readonly checks?: readonly (string | null)[];
  readonly isCommitted?: boolean;
  readonly isPrivate?: boolean;
}

/** As much of an ended task and its receipt as a bill looks at. */
export function ended(
  {
    verdict,
    outcome = { value: 'answered' },
    tokens = [20, 30],
    bytes = 200,
    checks = [],
    isCommitted = true,
    isPrivate = false,
  }: Scene,
  { level, wanted }: Terms,
) {
  const commit = commitOf(...tokens, bytes);
  const lease = { tab: 'tab', class: 'cls' };
  const task = {
    task: TAIL,
    variant: 'q8_0',
    private: isPrivate,
    endedAt: 7,
    lease,
    outcome,
    verdict,
    committed: isCommitted ? { commit, statement: statement(commit) } : null,
    checks: checks.map((found, i) => ({
      checker: `checker ${i}`,
      lease: { tab: `checker ${i}`, class: 'cls' },
      finding:
        found === null
          ? null
          : {
              rung: 'exact',
              falseBlock: found === 'same' ? null : 0,
              head: found === 'same' ? 'head' : found,
              cosine: null,
            },
    })),
  } as unknown as EndedTask;
  const receipt = {
    commit: isCommitted ? statement(commit) : null,
    checks: [],
    outcome,
    verdict,
    private: isPrivate,
    level,
    wanted: wanted as 1 | 2 | 3,
  } satisfies PricedReceipt;
  return { task, receipt };
}
