import type { Asked } from './asked.ts';
import type { Expected } from './choose-tab.ts';
import type { ExpectedWork, Work } from './expected-work.ts';
import { lateAfterMs } from './hedge-budget.ts';
import type { TabSpeeds } from './tab-speeds.ts';
import type { WarmPrefixes } from './warm-prefixes.ts';

/** What an answer's lease is known by, from its issue to its end. */
export interface Begun {
  readonly tab: string;
  readonly class: string;
  readonly asked: Asked;
  readonly expected: Expected;
  readonly warmTokens: number;
  /** Whether a second tab may be asked when the first token is late. */
  readonly mayHedge: boolean;
}

export interface Running extends Omit<Begun, 'asked'> {
  /** Null for work that nobody asked the allocator for: a check, or a lease from before its memory began. */
  readonly asked: Asked | null;
  readonly work: Work;
  /** What is known of the lengths of such answers. */
  readonly lengths: ExpectedWork;
  readonly begunAt: number;
  acceptedAt: number | null;
  /** By the tab's word, bounded by the prompt's bytes. */
  promptTokens: number | null;
  firstTokenAt: number | null;
  /** When the first token is expected, from its beginning on, ms: known better once the tab has said how long the prompt is. */
  firstTokenMs: number;
  isHedged: boolean;
}

/** A tab that is later than expected is expected to take this share of the time once more: the longer an answer is, the longer it goes on. */
const OVERDUE_SHARE = 0.4;
/** Until a tab says how long the prompt is, tokens are bounded by its bytes and what a template adds. */
const TEMPLATE_TOKENS = 512;

/** What is learnt of tabs and answers while they work. */
export interface Learnt {
  readonly speeds: TabSpeeds;
  readonly warm: WarmPrefixes;
  workOf(model: string): ExpectedWork;
  /** The tab is through with one of its leases. */
  ended(tab: string): void;
}

/** Leases that tabs work on, from their issue to their end: how far each is, when its tab will be free, and what the end of it teaches. */
export class LeasesAtWork {
  readonly #now: () => number;
  readonly #learnt: Learnt;
  readonly #running = new Map<number, Running>();
  readonly #leasesOf = new Map<string, Set<number>>();

  constructor(now: () => number, learnt: Learnt) {
    this.#now = now;
    this.#learnt = learnt;
  }

  /** A tab was leased an answer. */
  began(number: number, begun: Begun): void {
    this.#learnt.warm.began(begun.tab, begun.asked.conversation);
    const lengths = this.#learnt.workOf(begun.asked.model);
    this.#track(number, begun, lengths.of(begun.asked.size), lengths);
  }

  /** A tab works on something else: a check, or an answer from before this memory began. It is busy, and what its engine held is gone. */
  occupied(number: number, tab: string, classId: string, model: string, maxTokens: number): void {
    this.#learnt.warm.began(tab, null);
    const lengths = this.#learnt.workOf(model);
    const work = lengths.of({ promptBytes: null, maxTokens });
    const expected = { startMs: 0, firstTokenMs: 0, workMs: 0, scoreMs: 0 };
    this.#track(number, { tab, class: classId, asked: null, expected, warmTokens: 0, mayHedge: false }, work, lengths);
  }

  #track(
    number: number,
    begun: Omit<Begun, 'asked'> & { readonly asked: Asked | null },
    work: Work,
    lengths: ExpectedWork,
  ): void {
    this.#running.set(number, {
      ...begun,
      work,
      lengths,
      begunAt: this.#now(),
      acceptedAt: null,
      promptTokens: null,
      firstTokenAt: null,
      firstTokenMs: begun.expected.firstTokenMs,
      isHedged: false,
    });
    const leases = this.#leasesOf.get(begun.tab) ?? new Set();
    leases.add(number);
    this.#leasesOf.set(begun.tab, leases);
  }

  /** The tab took it up, and says how long the prompt is. */
  accepted(number: number, promptTokens: number): void {
    const running = this.#running.get(number);
    if (running === undefined || running.asked === null || running.acceptedAt !== null) return;
    running.acceptedAt = this.#now();
    const { size } = running.asked;
    const most = size.promptBytes === null ? Number.POSITIVE_INFINITY : size.promptBytes + TEMPLATE_TOKENS;
    running.promptTokens = Math.min(promptTokens, most);
    this.#learnt.workOf(running.asked.model).read(size, running.promptTokens);
    const { prefill } = this.#learnt.speeds.of(running.tab, running.class);
    const toRead = Math.max(1, running.promptTokens - running.warmTokens);
    running.firstTokenMs = running.acceptedAt - running.begunAt + (1000 * toRead) / prefill;
  }

  firstToken(number: number): void {
    const running = this.#running.get(number);
    if (running !== undefined) running.firstTokenAt ??= this.#now();
  }

  /** The tab finished its answer of so many tokens and bytes; a token holds at least a byte, whatever the tab says. Not for stopped ones. */
  finished(number: number, completionTokens: number, answerBytes: number): void {
    const running = this.#end(number);
    if (running === null || running.asked === null) return;
    const { tab, class: classId, asked, begunAt, acceptedAt, firstTokenAt, promptTokens, warmTokens } = running;
    const tokens = Math.min(completionTokens, answerBytes);
    const at = this.#now();
    this.#learnt.speeds.finished(tab, classId, {
      // A conversation that was warm was not read: how much of it, only the engine knows.
      prefill:
        acceptedAt === null || firstTokenAt === null || promptTokens === null || warmTokens > 0
          ? null
          : { tokens: promptTokens, ms: firstTokenAt - acceptedAt },
      decode: firstTokenAt === null ? null : { tokens: tokens - 1, ms: at - firstTokenAt },
      roundTripMs: acceptedAt === null ? null : acceptedAt - begunAt,
    });
    this.#learnt.workOf(asked.model).wrote(tokens);
    if (asked.conversation !== null) {
      this.#learnt.warm.served(tab, classId, asked.conversation, (promptTokens ?? running.work.promptTokens) + tokens);
    }
  }

  /** The tab failed at it, went away, or missed its deadline. */
  lost(number: number): void {
    const running = this.#end(number);
    if (running !== null) this.#learnt.speeds.lost(running.tab, running.class);
  }

  /** Another tab was faster: what is known is how long this one took so far, and that is told when it is longer than expected. */
  outrun(number: number): void {
    const running = this.#end(number);
    if (running === null || running.asked === null || running.warmTokens > 0) return;
    const { tab, class: classId, begunAt, acceptedAt, work } = running;
    const tokens = running.promptTokens ?? work.promptTokens;
    const ms = this.#now() - (acceptedAt ?? begunAt);
    if (ms > (1000 * tokens) / this.#learnt.speeds.of(tab, classId).prefill)
      this.#learnt.speeds.slower(tab, classId, { tokens, ms });
  }

  /** It is over, and says nothing of the tab: stopped by its client, or a check. */
  over(number: number): void {
    this.#end(number);
  }

  /** Answers whose first token is late, and that may be asked for twice. */
  *late(): Generator<readonly [number, Running & { readonly asked: Asked }], void, undefined> {
    const at = this.#now();
    for (const [number, running] of this.#running) {
      const { asked, mayHedge, isHedged, firstTokenAt, begunAt, firstTokenMs } = running;
      if (asked === null || !mayHedge || isHedged || firstTokenAt !== null) continue;
      if (at - begunAt >= lateAfterMs(firstTokenMs)) yield [number, { ...running, asked }];
    }
  }

  /** A second tab was asked: once is enough. */
  hedged(number: number): void {
    const running = this.#running.get(number);
    if (running !== undefined) running.isHedged = true;
  }

  /** Until the tab is through with what it works on, ms. */
  busyForMs(tab: string): number {
    const at = this.#now();
    let longest = 0;
    for (const number of this.#leasesOf.get(tab) ?? []) {
      const running = this.#running.get(number);
      if (running === undefined) continue;
      const { prefill, decode, roundTripMs } = this.#learnt.speeds.of(tab, running.class);
      const { firstTokenAt, begunAt, warmTokens, work } = running;
      let restMs: number;
      if (firstTokenAt === null) {
        const toRead = Math.max(1, (running.promptTokens ?? work.promptTokens) - warmTokens);
        const readMs = roundTripMs + (1000 * toRead) / prefill;
        restMs =
          Math.max(readMs - (at - begunAt), OVERDUE_SHARE * (at - begunAt)) + (1000 * work.outputTokens) / decode;
      } else {
        const written = Math.min(work.most, ((at - firstTokenAt) * decode) / 1000);
        restMs = (1000 * Math.max(1, Math.min(work.most - written, running.lengths.remaining(written)))) / decode;
      }
      longest = Math.max(longest, restMs);
    }
    return longest;
  }

  #end(number: number): Running | null {
    const running = this.#running.get(number);
    if (running === undefined) return null;
    this.#running.delete(number);
    this.#learnt.ended(running.tab);
    const leases = this.#leasesOf.get(running.tab);
    leases?.delete(number);
    if (leases?.size === 0) this.#leasesOf.delete(running.tab);
    return running;
  }
}
