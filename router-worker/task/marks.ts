import type { EndedTask } from './task.ts';

/** What an ended task says of a tab that took part in it. */
export interface Mark {
  readonly tab: string;
  readonly role: 'answer' | 'check';
  /**
   * `agreed`: most executions say the same. `refuted`: most say something else. `disputed`: as many as not, so one of them lies and nobody knows which.
   * `missed`: a check that did not come to its end.
   */
  readonly outcome: 'agreed' | 'refuted' | 'disputed' | 'missed';
}

export function marksOf({ verdict, checks: all, lease }: EndedTask): Mark[] {
  const checks = all.filter(({ isBlameless }) => isBlameless !== true);
  if (verdict.value === 'unchecked') {
    // A client that went away is no checker's fault.
    return verdict.reason === 'checker_lost' || verdict.reason === 'checker_refused'
      ? checks.map(({ checker }) => ({ tab: checker, role: 'check', outcome: 'missed' }))
      : [];
  }
  const { value } = verdict;
  if (value === 'inconclusive') return []; // Likeness moves nothing.
  const answer = { valid: 'agreed', invalid: 'refuted', disputed: 'disputed' } as const;
  const truth = value === 'invalid' ? majorityHead(checks) : null;
  const ofCheck = (finding: EndedTask['checks'][number]['finding']): Mark['outcome'] => {
    if (finding?.rung !== 'exact') return 'missed';
    if (value === 'disputed') return 'disputed';
    const isRight = value === 'valid' ? finding.falseBlock === null : finding.head === truth;
    return isRight ? 'agreed' : 'refuted';
  };
  return [
    { tab: lease.tab, role: 'answer', outcome: answer[value] },
    ...checks.map(({ checker, finding }): Mark => ({ tab: checker, role: 'check', outcome: ofCheck(finding) })),
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
