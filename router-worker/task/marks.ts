import { READ_LEAD } from '../../shared/checking/tally.ts';
import type { EndedTask } from './task.ts';

/** What an ended task says of a tab that took part in it. */
export interface Mark {
  readonly tab: string;
  /** Of the tab's own lease. */
  readonly class: string;
  readonly role: 'answer' | 'check';
  /**
   * `agreed`: most executions say the same. `refuted`: most say something else. `disputed`: as many as not, so one of them lies and nobody knows which.
   * `missed`: a check that did not come to its end; an answer that was not shown to its reader. `passed`: a reader's word that
   * nobody of weight contradicts; whoever always says the same is not to gain by it.
   */
  readonly outcome: 'agreed' | 'refuted' | 'disputed' | 'missed' | 'passed';
}

export function marksOf({ verdict, checks: all, lease, committed }: EndedTask): Mark[] {
  const checks = all.filter(({ isBlameless }) => isBlameless !== true);
  if (verdict.value === 'unchecked') {
    // A client that went away is no checker's fault.
    return verdict.reason === 'checker_lost' || verdict.reason === 'checker_refused'
      ? checks.map(({ checker, lease: { class: id } }) => ({
          tab: checker,
          class: id,
          role: 'check',
          outcome: 'missed',
        }))
      : [];
  }
  const { value } = verdict;
  if (value === 'inconclusive') return marksOfNothing(lease, checks);
  if (verdict.method !== 'exact-re-execution') return marksOfReading(value === 'valid', lease, checks);
  const claimed = committed?.commit.tokens.prompt;
  if (value === 'valid' && claimed !== undefined) {
    const marks = marksOfCounts(claimed, lease, checks);
    if (marks !== null) return marks;
  }
  const answer = { valid: 'agreed', invalid: 'refuted', disputed: 'disputed' } as const;
  const truth = value === 'invalid' ? majorityHead(checks) : null;
  const ofCheck = (finding: EndedTask['checks'][number]['finding']): Mark['outcome'] => {
    if (finding?.rung !== 'exact') return 'missed';
    if (value === 'disputed') return 'disputed';
    const isRight = value === 'valid' ? finding.falseBlock === null : finding.head === truth;
    return isRight ? 'agreed' : 'refuted';
  };
  return [
    { tab: lease.tab, class: lease.class, role: 'answer', outcome: answer[value] },
    ...checks.map(
      ({ checker, lease: { class: id }, finding }): Mark => ({
        tab: checker,
        class: id,
        role: 'check',
        outcome: ofCheck(finding),
      }),
    ),
  ];
}

/**
 * The answer is right, and its prompt has as many tokens for everybody of one class: whoever counts otherwise does it for the pay. The claim is one voice, as the answer is,
 * and the others that wrote the answer again have one each: what more say is what is so, and of as many and as many nobody knows who lies. Null where all count alike.
 */
function marksOfCounts(claimed: number, lease: EndedTask['lease'], checks: EndedTask['checks']): Mark[] | null {
  const isSame = ({ finding }: (typeof checks)[number]) => finding?.rung === 'exact' && finding.falseBlock === null;
  const right = checks.filter((check) => isSame(check) && check.promptTokens !== undefined);
  const counts = [claimed, ...right.map(({ promptTokens }) => promptTokens)];
  if (new Set(counts).size === 1) return null;
  const voices = (count: number | undefined) => counts.filter((one) => one === count).length;
  const most = Math.max(...counts.map(voices));
  const isDecided = new Set(counts.filter((count) => voices(count) === most)).size === 1;
  const ofCount = (count: number | undefined): Mark['outcome'] => {
    if (!isDecided) return 'disputed';
    return voices(count) === most ? 'agreed' : 'refuted';
  };
  const ofCheck = (check: (typeof checks)[number]): Mark['outcome'] => {
    if (check.finding?.rung !== 'exact') return 'missed';
    return isSame(check) ? ofCount(check.promptTokens ?? claimed) : 'refuted';
  };
  return [
    { tab: lease.tab, class: lease.class, role: 'answer', outcome: ofCount(claimed) },
    ...checks.map(
      (check): Mark => ({ tab: check.checker, class: check.lease.class, role: 'check', outcome: ofCheck(check) }),
    ),
  ];
}

/** Likeness moves nothing. A tab that shows its answer to nobody who would read it may be asleep; it may also have something to hide. */
function marksOfNothing({ tab, class: id }: EndedTask['lease'], checks: EndedTask['checks']): Mark[] {
  const isHidden = checks.some(({ finding }) => finding?.rung === 'statistical' && !finding.isShown);
  return isHidden ? [{ tab, class: id, role: 'answer', outcome: 'missed' }] : [];
}

/**
 * A tab that fails where others only read its answer is suspected: no statistic proves a lie. Nor does it prove one of a reader: whoever contradicts the others is in
 * dispute with them, and where nobody leads by two everybody is who contradicts somebody. Else a reader that always says no would go without a record. That it found
 * nothing where others found something is a contradiction too; alone, it earns nothing.
 */
function marksOfReading(hasPassed: boolean, lease: EndedTask['lease'], checks: EndedTask['checks']): Mark[] {
  const passed = checks.filter(({ finding }) => finding?.rung === 'statistical' && finding.failed?.length === 0);
  const failed = checks.filter(
    ({ finding }) => finding?.rung === 'statistical' && finding.failed !== null && finding.failed.length > 0,
  );
  const isDecided = Math.abs(passed.length - failed.length) >= READ_LEAD;
  const isContested = failed.length > 0;
  const markOf = (check: EndedTask['checks'][number], outcome: Mark['outcome']): Mark => ({
    tab: check.checker,
    class: check.lease.class,
    role: 'check',
    outcome,
  });
  return [
    { tab: lease.tab, class: lease.class, role: 'answer', outcome: hasPassed ? 'agreed' : 'disputed' },
    ...checks.filter(({ finding }) => finding === null).map((check) => markOf(check, 'missed')),
    ...passed.map((check) => markOf(check, isContested && !(isDecided && hasPassed) ? 'disputed' : 'passed')),
    ...failed.map((check) => markOf(check, isDecided && !hasPassed ? 'passed' : 'disputed')),
  ];
}

/** The answer that most checkers wrote. */
function majorityHead(checks: EndedTask['checks']): string | null {
  const counts = new Map<string, number>();
  for (const { finding } of checks) {
    if (finding?.rung === 'exact') counts.set(finding.head, (counts.get(finding.head) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null;
}
