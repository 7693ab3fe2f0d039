import { setTimeout as wait } from 'node:timers/promises';
import { type Asked, type AskOptions, askTrial } from './ask-trial.ts';
import type { Attack } from './attacks.ts';
import type { Actor, Stage } from './stage.ts';
import { tabStanding } from './tab-standing.ts';
import type { TrialRequest } from './trial-requests.ts';

export interface Trial {
  readonly asked: Asked;
  /** Whether a hostile tab answered, with another text or finish than the model's. */
  readonly lied: boolean;
  /** Hostile tabs that answered or were drawn, by what became of them. */
  readonly hostile: readonly HostilePart[];
  /** Honest tabs that most executions contradict, or whose answer was found invalid. */
  readonly accused: number;
}

export interface HostilePart {
  readonly identity: string;
  readonly role: 'answer' | 'check';
  /** `agreed`, `outvoted`: with or against the majority. `nothing`: a check that did not come to its end. `undecided`: neither. */
  readonly outcome: 'agreed' | 'outvoted' | 'nothing' | 'undecided';
  /** Of a tab that reads and lies: whether the router suspects it afterwards. No verdict tells that. */
  readonly isSuspected?: boolean;
}

export interface AttackRun {
  readonly trials: readonly Trial[];
  /** How the router's records stood to tabs that were found out, one entry each; empty where it keeps none. */
  readonly standings: readonly string[];
}

/** Requests in flight at once: enough to keep two engines busy. Colluders are measured one at a time, with every checker free. */
const IN_FLIGHT = 3;

/** Runs one attack over these requests: in groups, and whoever was found out in a group comes back under a new identity for the next one. */
export async function runAttack(
  attack: Attack,
  stage: Stage,
  requests: readonly TrialRequest[],
  options: Pick<AskOptions, 'url' | 'routerKey' | 'model'> & { readonly class: string },
): Promise<AttackRun> {
  const trials: Trial[] = [];
  const standings: string[] = [];
  const inFlight = attack.kind === 'collusion' || attack.kind === 'reader' ? 1 : IN_FLIGHT;
  await stage.enter(attack.cast);
  try {
    for (let from = 0; from < requests.length; from += inFlight) {
      const group = requests.slice(from, from + inFlight);
      const ended = await Promise.all(
        group.map((request, index) =>
          runTrial(attack, stage, request, { ...options, checks: attack.checks, client: `client-${from + index}` }),
        ),
      );
      const done = attack.kind === 'reader' ? await withSuspicions(ended, options) : ended;
      trials.push(...done);
      const foundOut = stage.actors.filter((actor) => isFoundOut(actor, done));
      for (const { identity } of foundOut) {
        const standing = await tabStanding(options.url, identity, options.class);
        if (standing !== null) standings.push(standing);
      }
      await stage.replace(foundOut);
    }
  } finally {
    await stage.clear();
  }
  return { trials, standings };
}

async function runTrial(attack: Attack, stage: Stage, request: TrialRequest, options: AskOptions): Promise<Trial> {
  const actors = stage.actors;
  const asked = await askTrial(request, options);
  const truth = await stage.truth(request, attack.cast.isNear === true);
  const { answer, receipt } = asked;
  const byHostile = receipt === null ? attack.cast.answering !== null : isHostile(actors, receipt.answeredBy);
  const differs = answer === null || answer.text !== truth.text || answer.finish !== truth.finish;
  return {
    asked,
    lied: byHostile && differs,
    hostile: hostileParts(actors, asked),
    accused: accusedIn(actors, asked),
  };
}

function isHostile(actors: readonly Actor[], identity: string): boolean {
  return actors.some((actor) => actor.identity === identity && actor.isHostile);
}

function hostileParts(actors: readonly Actor[], { receipt, refused }: Asked): HostilePart[] {
  if (receipt === null) {
    const answering = actors.filter(({ isHostile, checkOnly }) => isHostile && !checkOnly);
    return refused === null ? [] : answering.map(({ identity }) => ({ identity, role: 'answer', outcome: 'nothing' }));
  }
  const OF_ANSWER = {
    valid: 'agreed',
    invalid: 'outvoted',
    disputed: 'undecided',
    inconclusive: 'undecided',
    unchecked: 'undecided',
  } as const;
  const parts: HostilePart[] = receipt.checks.map(({ tab, finding, outvoted }) => ({
    identity: tab,
    role: 'check',
    outcome: finding === null ? 'nothing' : outvoted === null ? 'undecided' : outvoted ? 'outvoted' : 'agreed',
  }));
  parts.push({ identity: receipt.answeredBy, role: 'answer', outcome: OF_ANSWER[receipt.verdict.value] });
  return parts.filter(({ identity }) => isHostile(actors, identity));
}

/** Suspicion alone turns no verdict: an honest tab is accused when its answer is, or when it is outvoted where bytes are compared. */
function accusedIn(actors: readonly Actor[], { receipt }: Asked): number {
  if (receipt === null) return 0;
  const { verdict, checks, answeredBy } = receipt;
  const isExact = 'method' in verdict && verdict.method === 'exact-re-execution';
  const outvoted = checks.filter(({ tab, outvoted }) => isExact && outvoted === true && !isHostile(actors, tab));
  const isAgainst = verdict.value === 'invalid' || (verdict.value === 'disputed' && !isExact);
  return outvoted.length + (isAgainst && !isHostile(actors, answeredBy) ? 1 : 0);
}

export function isFound({ outcome, isSuspected }: HostilePart): boolean {
  return outcome === 'outvoted' || outcome === 'nothing' || isSuspected === true;
}

function isFoundOut(actor: Actor, trials: readonly Trial[]): boolean {
  return trials.some(({ hostile }) => hostile.some((part) => part.identity === actor.identity && isFound(part)));
}

/** How often the record is read until a suspicion is on it, and the pause between, ms: it is taken down when the answer has been given. */
const LOOKS = 4;
const LOOK_EVERY_MS = 100;

async function withSuspicions(
  trials: readonly Trial[],
  { url, class: id }: { readonly url: string; readonly class: string },
): Promise<Trial[]> {
  const looked = async (part: HostilePart): Promise<HostilePart> => {
    for (let look = 0; look < LOOKS; look++) {
      const standing = await tabStanding(url, part.identity, id);
      if (standing !== null && standing !== 'new') return { ...part, isSuspected: true };
      await wait(LOOK_EVERY_MS);
    }
    return { ...part, isSuspected: false };
  };
  return Promise.all(
    trials.map(async (trial) => ({ ...trial, hostile: await Promise.all(trial.hostile.map(looked)) })),
  );
}
