import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { failureWeight } from '../../shared/checking/sequential-test.ts';
import { explain } from './explain.ts';
import goldenRecord from './golden-record.json';
import { TRUST_POLICY } from './policy.ts';
import {
  ban,
  checkRate,
  type Finding,
  idleRate,
  mayServe,
  newRecord,
  type Observation,
  observe,
  pardon,
  type Standing,
  standingOf,
  type TabRecord,
  wantsNetworkTask,
} from './record.ts';

const HOUR = 60 * 60 * 1000;
const DAY = 24 * HOUR;
const START = 1_800_000_000_000;
const NEEDED = TRUST_POLICY.qualifyingPasses;

const finding: fc.Arbitrary<Finding> = fc.oneof(
  fc.constant<Finding>({ outcome: 'agreed' }),
  fc
    .constantFrom('third_execution', 'known_answer', 'guard')
    .map((reason) => ({ outcome: 'refuted', reason }) as const),
  fc.constant<Finding>({ outcome: 'disputed' }),
  fc.constantFrom('checker_lost', 'opening_refused').map((reason) => ({ outcome: 'missed', reason }) as const),
  fc.constantFrom('empty', 'looping').map((reason) => ({ outcome: 'suspicious', reason }) as const),
);
const role = fc.constantFrom('answer', 'check');
const source = fc.constantFrom('user', 'network');
const observation = (what: fc.Arbitrary<Finding>) =>
  fc.tuple(what, role, source, fc.oneof(fc.nat(HOUR), fc.nat(90 * DAY), fc.constant(-HOUR)));

function history(what: fc.Arbitrary<Finding>): fc.Arbitrary<readonly Observation[]> {
  return fc.array(observation(what), { maxLength: 120 }).map((steps) => {
    let at = START;
    return steps.map(([found, as, from, waitMs]) => {
      at += waitMs;
      return { ...found, role: as, source: from, at };
    });
  });
}

const after = (seen: readonly Observation[], record = newRecord('tab', 'cls', START)) =>
  seen.reduce((now, next) => observe(now, next), record);

const networkPass = (at: number): Observation => ({ outcome: 'agreed', role: 'answer', source: 'network', at });
const userPass = (at: number): Observation => ({ outcome: 'agreed', role: 'answer', source: 'user', at });
const userLie = (at: number): Observation => ({
  outcome: 'refuted',
  reason: 'third_execution',
  role: 'answer',
  source: 'user',
  at,
});

function passes(record: TabRecord, count: number, at = record.at): TabRecord {
  return after(
    Array.from({ length: count }, () => networkPass(at)),
    record,
  );
}

const trusted = passes(newRecord('tab', 'cls', START), NEEDED);

/** Waits out the quarantine and passes what is asked. */
function requalified(record: TabRecord): TabRecord {
  if (record.state.name !== 'quarantined') return record;
  return passes(record, NEEDED, record.state.until);
}

describe('a record', () => {
  it('stays bounded, finite and storable, whatever is observed', () => {
    fc.assert(
      fc.property(
        history(finding),
        fc.nat(400 * DAY),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (seen, later, idle) => {
          const record = after(seen);
          const most = TRUST_POLICY.quarantinedFrom + failureWeight(TRUST_POLICY.refuted);
          for (const value of [record.evidence, record.passes, record.offences, record.frauds]) {
            expect(value).toBeGreaterThanOrEqual(0);
          }
          expect(record.evidence).toBeLessThanOrEqual(most);
          expect(record.passes).toBeLessThanOrEqual(seen.length);
          expect(record.offences).toBeLessThanOrEqual(seen.length);
          expect(JSON.parse(JSON.stringify(record))).toEqual(record);
          const at = record.at + later;
          const rate = checkRate(record, at, idle, 1);
          expect(rate).toBeGreaterThanOrEqual(Math.max(TRUST_POLICY.rateFloor, idleRate(idle)));
          expect(rate).toBeLessThanOrEqual(1);
          expect(Object.values(record.counts).reduce((sum, count) => sum + count, 0)).toBe(seen.length);
        },
      ),
    );
  });

  it('weighs what speaks against a tab against it, and what speaks for it for it', () => {
    fc.assert(
      fc.property(history(finding), finding, role, source, (seen, found, as, from) => {
        const before = after(seen);
        const now = observe(before, { ...found, role: as, source: from, at: before.at });
        if (found.outcome === 'agreed') expect(now.evidence).toBeLessThanOrEqual(before.evidence);
        else expect(now.evidence).toBeGreaterThanOrEqual(before.evidence);
      }),
    );
  });

  it('[U2] never quarantines a tab of which nothing was refuted', () => {
    const honest = finding.filter(({ outcome }) => outcome !== 'refuted');
    fc.assert(
      fc.property(history(honest), (seen) => {
        const { name } = after(seen).state;
        expect(['qualifying', 'qualified']).toContain(name);
      }),
    );
  });

  it('leads back to trust from everywhere but a ban', () => {
    fc.assert(
      fc.property(history(finding), (seen) => {
        let record = after(seen);
        fc.pre(record.state.name !== 'banned');
        const at = record.state.name === 'quarantined' ? Math.max(record.at, record.state.until) : record.at;
        expect(wantsNetworkTask(record, at + TRUST_POLICY.networkTaskEveryMs)).toBe(true);
        record = passes(record, 2 * NEEDED, at); // Those that qualify, and what it takes to clear a suspicion.
        expect(standingOf(record, record.at)).toBe('trusted');
      }),
    );
  });

  it('has the form that earlier releases stored', () => {
    const seen = [
      ...Array.from({ length: NEEDED }, (_, i) => networkPass(START + i)),
      { outcome: 'missed', reason: 'checker_lost', role: 'check', source: 'user', at: START + 100 } as const,
    ];
    expect(after(seen)).toEqual(goldenRecord);
    expect(standingOf(goldenRecord as TabRecord, START + 100)).toBe('trusted');
  });

  it('of a late result counts it as of now: time does not run backwards', () => {
    expect(observe(trusted, userPass(0)).at).toBe(trusted.at);
  });
});

describe('standing', () => {
  it('is new until the tasks of the network are passed; those of users do not qualify', () => {
    const used = after(Array.from({ length: 500 }, (_, i) => userPass(START + i)));
    expect(standingOf(used, START + 500)).toBe('new');
    expect(standingOf(passes(used, NEEDED - 1), START + 500)).toBe('new');
    expect(standingOf(passes(used, NEEDED), START + 500)).toBe('trusted');
  });

  it('is suspected after one dispute, one odd answer or two misses, and clear again after some passes', () => {
    const seen = (found: Finding): Observation => ({ ...found, role: 'answer', source: 'user', at: START });
    const standing = (...found: readonly Finding[]) => standingOf(after(found.map(seen), trusted), START);
    expect(standing({ outcome: 'disputed' })).toBe('suspected');
    expect(standing({ outcome: 'suspicious', reason: 'empty' })).toBe('suspected');
    expect(standing({ outcome: 'missed', reason: 'checker_lost' })).toBe('trusted');
    const missed = { outcome: 'missed', reason: 'checker_lost' } as const;
    expect(standing(missed, missed)).toBe('suspected');
    const disputed = after([seen({ outcome: 'disputed' })], trusted);
    expect(
      standingOf(
        after(
          [1, 2, 3, 4].map(() => userPass(START)),
          disputed,
        ),
        START,
      ),
    ).toBe('suspected');
    expect(
      standingOf(
        after(
          [1, 2, 3, 4, 5].map(() => userPass(START)),
          disputed,
        ),
        START,
      ),
    ).toBe('trusted');
  });

  it('[U3] is quarantined after one refutation, by whatever it is known', () => {
    for (const reason of ['third_execution', 'known_answer', 'guard'] as const) {
      for (const record of [trusted, newRecord('tab', 'cls', START)]) {
        const lied = observe(record, { outcome: 'refuted', reason, role: 'check', source: 'user', at: START });
        expect(standingOf(lied, START)).toBe('quarantined');
        expect(mayServe(standingOf(lied, START))).toBe(false);
      }
    }
  });

  it('[U3] stays quarantined through the wait, which doubles with every offence', () => {
    let [record, at] = [trusted, START];
    const waits: number[] = [];
    for (let i = 0; i < 10; i++) {
      record = observe(record, { ...userLie(at), source: 'network' });
      if (record.state.name !== 'quarantined') break;
      waits.push((record.state.until - at) / HOUR);
      at = record.state.until;
      expect(wantsNetworkTask(record, at - 1)).toBe(false);
      expect(wantsNetworkTask(record, at)).toBe(true);
    }
    // 2^(offences − 1) hours; in the longer waits the earlier offences fade.
    expect(waits.map(Math.round)).toEqual([1, 2, 4, 8, 15, 29, 53, 84, 113, 129]);
  });

  it('counts what still comes in during the wait, and takes it for no new offence', () => {
    const lied = observe(trusted, userLie(START + HOUR));
    const more = after(
      [1, 2, 3, 4].map((i) => userLie(START + HOUR + i)),
      lied,
    );
    expect(more.state).toEqual(lied.state);
    expect(more.counts.refuted).toBe(5);
    expect(passes(lied, NEEDED).state).toEqual(lied.state); // Nor do passes help before it is over.
  });

  it('after the wait is decided by tasks of the network alone', () => {
    const lied = observe(trusted, userLie(START));
    const late = START + 2 * HOUR;
    expect(observe(lied, userLie(late)).state).toEqual(lied.state);
    expect(observe(lied, userPass(late)).state).toEqual(lied.state);
    expect(observe(lied, networkPass(late)).state).toMatchObject({ name: 'quarantined', passed: 1 });
  });

  it('[U4] is banned by the third confirmed fraud, and not by errors in the network’s own tasks', () => {
    let [fraud, error] = [trusted, trusted];
    const standings: Standing[] = [];
    for (let i = 0; i < 3; i++) {
      fraud = observe(fraud, userLie(fraud.at));
      standings.push(standingOf(fraud, fraud.at));
      fraud = requalified(fraud);
      error = requalified(observe(error, { ...userLie(error.at), source: 'network' }));
    }
    expect(standings).toEqual(['quarantined', 'quarantined', 'banned']);
    expect(standingOf(error, error.at)).toBe('trusted');
    expect(after([networkPass(fraud.at + DAY)], fraud).state.name).toBe('banned');
    expect(wantsNetworkTask(fraud, fraud.at + 400 * DAY)).toBe(false);
  });

  it('forgets: frauds that lie months apart do not add up to a ban', () => {
    let record = trusted;
    for (let i = 0; i < 10; i++) {
      record = requalified(observe(record, userLie(record.at + 60 * DAY)));
    }
    expect(standingOf(record, record.at)).toBe('trusted');
  });

  it('loses its suspicion with time, and trust that nothing renews', () => {
    const disputed = observe(trusted, { outcome: 'disputed', role: 'answer', source: 'user', at: START });
    expect(standingOf(disputed, START + 7 * DAY)).toBe('suspected');
    expect(standingOf(disputed, START + 14 * DAY)).toBe('trusted');
    expect(standingOf(trusted, START + 30 * DAY)).toBe('trusted');
    expect(standingOf(trusted, START + 31 * DAY)).toBe('new');
    expect(standingOf(observe(trusted, userPass(START + 31 * DAY)), START + 31 * DAY)).toBe('new');
  });

  it('can be set by the operator, both ways', () => {
    const banned = ban(trusted, START + DAY);
    expect(standingOf(banned, START + 900 * DAY)).toBe('banned');
    const back = pardon(banned, START + 2 * DAY);
    expect(standingOf(back, START + 2 * DAY)).toBe('new');
    expect(back.counts).toEqual(trusted.counts);
  });
});

describe('the rate of checks', () => {
  it('[U5] is everything for whoever is not trusted', () => {
    const disputed = observe(trusted, { outcome: 'disputed', role: 'answer', source: 'user', at: START });
    for (const record of [newRecord('tab', 'cls', START), disputed]) expect(checkRate(record, START, 0, 0.01)).toBe(1);
  });

  it('falls with the record to the floor, and rises when the record grows old', () => {
    expect(checkRate(trusted, START, 0, 1)).toBeCloseTo(0.08);
    expect(checkRate(passes(trusted, NEEDED), START, 0, 1)).toBeCloseTo(0.04);
    const long = passes(trusted, 1000);
    expect(checkRate(long, START, 0, 1)).toBe(TRUST_POLICY.rateFloor);
    expect(checkRate(trusted, START + 29 * DAY, 0, 1)).toBeGreaterThan(0.15);
  });

  it('begins anew after a quarantine, however long the record was', () => {
    const back = requalified(observe(passes(trusted, 1000), userLie(START)));
    expect(standingOf(back, back.at)).toBe('trusted');
    expect(checkRate(back, back.at, 0, 1)).toBeCloseTo(0.08);
  });

  it('[U5] is in proportion to the size of the answer, and never more than one', () => {
    const long = passes(trusted, 1000);
    expect(checkRate(long, START, 0, 4)).toBeCloseTo(0.1);
    expect(checkRate(long, START, 0, 1e9)).toBe(1);
  });

  it('takes what idle tabs allow, when that is more', () => {
    expect([0, 0.1, 0.2, 0.3, 1].map((share) => Number(idleRate(share).toFixed(9)))).toEqual([0, 0, 0.5, 1, 1]);
    expect(checkRate(trusted, START, 0.2, 1)).toBeCloseTo(0.5);
    expect(checkRate(trusted, START, 0.1, 1)).toBeCloseTo(0.08);
  });
});

describe('the policy', () => {
  it('asks for an identity at least what a cheat can give between two checks while half of its pay is held back', () => {
    expect(TRUST_POLICY.qualifyingPasses).toBeGreaterThanOrEqual(1 / (2 * TRUST_POLICY.rateFloor));
  });

  it('lets one proof do, and no number of suspicions', () => {
    expect(failureWeight(TRUST_POLICY.refuted)).toBeGreaterThanOrEqual(TRUST_POLICY.quarantinedFrom);
    expect(TRUST_POLICY.unprovenCeiling).toBeLessThan(TRUST_POLICY.quarantinedFrom);
    expect(TRUST_POLICY.suspectedFrom).toBeLessThan(TRUST_POLICY.unprovenCeiling);
  });
});

describe('what a person is shown', () => {
  it('is why, since when and what to do, for a tab in good standing', () => {
    expect(explain(trusted, START + HOUR)).toEqual({
      standing: 'trusted',
      since: START,
      why: 'qualified',
      text: 'This tab has passed its checks.',
      next: 'Nothing.',
      progress: null,
      waitsUntil: null,
      counts: { agreed: NEEDED, refuted: 0, disputed: 0, missed: 0, suspicious: 0 },
    });
  });

  it('names the wait and the way out of quarantine', () => {
    const lied = observe(trusted, userLie(START + HOUR));
    expect(explain(lied, START + HOUR)).toMatchObject({
      standing: 'quarantined',
      since: START + HOUR,
      why: 'refuted',
      progress: { passed: 0, needed: NEEDED },
      waitsUntil: START + 2 * HOUR,
    });
  });

  it('names each reason', () => {
    const seen = (found: Finding) => observe(trusted, { ...found, role: 'answer', source: 'user', at: START });
    const missed = { outcome: 'missed', reason: 'checker_lost' } as const;
    const fraud = [1, 2, 3].reduce((record) => requalified(observe(record, userLie(record.at))), trusted);
    expect(
      [
        newRecord('tab', 'cls', START),
        seen({ outcome: 'disputed' }),
        seen({ outcome: 'suspicious', reason: 'looping' }),
        observe(seen(missed), { ...missed, role: 'check', source: 'user', at: START }),
        ban(trusted, START),
        fraud,
      ].map((record) => explain(record, record.at).why),
    ).toEqual(['not_qualified', 'disputed', 'suspicious', 'missed', 'banned_by_operator', 'banned_for_fraud']);
    expect(explain(observe(seen({ outcome: 'disputed' }), userPass(START + 1)), START + 1)).toMatchObject({
      why: 'disputed',
      since: START,
    });
    expect(explain(trusted, START + 40 * DAY)).toMatchObject({ why: 'trust_lapsed', since: START + 30 * DAY });
  });

  it('[U6] moves in steps, so that it does not tell which task was the network’s', () => {
    const progress = [4, 5, 9, 10].map(
      (count) => explain(passes(newRecord('tab', 'cls', START), count), START).progress,
    );
    expect(progress.map((step) => step?.passed)).toEqual([0, 5, 5, 10]);
  });
});
