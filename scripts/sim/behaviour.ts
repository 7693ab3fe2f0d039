import { TRUTH } from './played-task.ts';
import type { Case, SimTab } from './sim-tab.ts';
import { answerOf, checkOf, type Involved, type Seen, slanders, type Told } from './tab-kinds.ts';

/** What a tab does when it is asked, by its kind and by what its group has to do with the task. */
export class Behaviour {
  readonly #random: () => number;
  #ownLies = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  answer({ kind, identity }: SimTab, seen: Seen): Told {
    const { standing, answersSinceCaught } = identity;
    return answerOf({ kind, standing, answersSinceCaught }, seen, this.#random);
  }

  /** Null when it delivers nothing. */
  check(tab: SimTab, of: Case): Told | null {
    return checkOf(tab.kind, involvement(tab, of), this.#random);
  }

  /** What is written then: a group writes one and the same lie, everybody else never the same twice. */
  written({ group }: SimTab, told: Told): number {
    if (told === 'true') return TRUTH;
    return told === 'group_lie' && group !== null ? -group : ++this.#ownLies;
  }
}

function involvement({ kind, group, identity }: SimTab, of: Case): Involved {
  if (group === null) return 'stays_out';
  const own = of.participants.filter(({ tab }) => tab.group === group);
  if (own.length > 0) return own.some(({ written }) => written !== TRUTH && written !== null) ? 'lied' : 'stays_out';
  const draw = (of.slanderDraw + group * 0.618) % 1; // Each group slanders other answers.
  return slanders(kind, identity.standing, draw) ? 'slanders' : 'stays_out';
}
