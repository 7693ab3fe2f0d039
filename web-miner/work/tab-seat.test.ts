import { describe, expect, it } from 'vitest';
import { type SeatPorts, TabSeat } from './tab-seat.ts';

type Grant = (lock: Lock | null) => unknown;

/** Web Locks of one profile with a single name, as the specification has them: queue, `ifAvailable`, `signal`, `steal`. */
class FakeLocks {
  #held: { readonly broken: PromiseWithResolvers<never> } | null = null;
  readonly #line: { readonly act: Grant; readonly done: PromiseWithResolvers<unknown> }[] = [];

  async query(): Promise<LockManagerSnapshot> {
    return { held: this.#held === null ? [] : [{ name: 'shoal-lending-tab' }], pending: [] };
  }

  request(_name: string, options: LockOptions, act: Grant): Promise<unknown> {
    if (options.steal === true) {
      this.#held?.broken.reject(new DOMException('stolen', 'AbortError'));
      this.#held = null;
    }
    if (this.#held === null) return this.#grant(act);
    if (options.ifAvailable === true) return Promise.resolve(act(null));
    const waiting = { act, done: Promise.withResolvers<unknown>() };
    this.#line.push(waiting);
    options.signal?.addEventListener('abort', () => {
      this.#line.splice(this.#line.indexOf(waiting), 1);
      waiting.done.reject(new DOMException('too late', 'AbortError'));
    });
    return waiting.done.promise;
  }

  #grant(act: Grant): Promise<unknown> {
    const mine = { broken: Promise.withResolvers<never>() };
    this.#held = mine;
    const worked = Promise.resolve(act({ mode: 'exclusive', name: 'shoal-lending-tab' })).finally(() => {
      if (this.#held !== mine) return;
      this.#held = null;
      const next = this.#line.shift();
      if (next !== undefined) this.#grant(next.act).then(next.done.resolve, next.done.reject);
    });
    return Promise.race([worked, mine.broken.promise]);
  }
}

const profiles = new Map<string, FakeLocks>();

/** One of several tabs of a profile. */
function tab(name: string) {
  const locks = profiles.get(name) ?? new FakeLocks();
  profiles.set(name, locks);
  const seen: unknown[] = [];
  const said: string[] = [];
  let onAsked: () => void = () => undefined;
  const ports: SeatPorts = {
    locks: locks as unknown as SeatPorts['locks'],
    channel: new BroadcastChannel(name) as unknown as SeatPorts['channel'],
    onAsked: () => onAsked(),
    onLost: () => said.push('lost'),
    onShown: (shown) => seen.push(shown),
  };
  const seat = new TabSeat(ports);
  return { seat, seen, said, whenAsked: (act: () => void) => (onAsked = act) };
}

const soon = () => new Promise((resolve) => setTimeout(resolve, 50));

describe('the seat of a profile', () => {
  it('[O4] is held by one tab; the others see what it shows, also those that come later, and hear that it left', async () => {
    const first = tab('a');
    const second = tab('a');
    expect([await first.seat.take(), await second.seat.take()]).toEqual(['ours', 'theirs']);
    expect([await first.seat.isTaken(), await second.seat.isTaken()]).toEqual([false, true]);
    first.seat.show('serving');
    await soon();
    const third = tab('a');
    await soon();
    expect([second.seen.at(-1), third.seen, first.seen]).toEqual(['serving', ['serving'], []]);
    first.seat.leave();
    await soon();
    expect(second.seen.at(-1)).toBeNull();
    expect(await second.seat.take()).toBe('ours');
    for (const { seat } of [first, second, third]) seat.close();
  });

  it('is handed over by a tab that is asked for it', async () => {
    const first = tab('b');
    const second = tab('b');
    await first.seat.take();
    first.whenAsked(() => first.seat.leave());
    expect(await second.seat.takeOver()).toBe('ours');
    expect([first.seat.isHeld, second.seat.isHeld, first.said]).toEqual([false, true, []]);
    for (const { seat } of [first, second]) seat.close();
  });

  it('is taken from a tab that does not answer, and that tab is told', async () => {
    const first = tab('c');
    const second = tab('c');
    await first.seat.take();
    expect(await second.seat.takeOver()).toBe('ours');
    await soon();
    expect([first.seat.isHeld, second.seat.isHeld, first.said]).toEqual([false, true, ['lost']]);
    for (const { seat } of [first, second]) seat.close();
  });

  it('is had by one of two tabs that take it over at once; the one that was first is told when it loses it', async () => {
    const [first, second, third] = [tab('d'), tab('d'), tab('d')] as const;
    await first.seat.take();
    first.whenAsked(() => first.seat.leave());
    expect(await Promise.all([second.seat.takeOver(), third.seat.takeOver()])).toEqual(['ours', 'ours']);
    await soon();
    expect([first, second, third].filter(({ seat }) => seat.isHeld)).toHaveLength(1);
    expect([...second.said, ...third.said]).toEqual(['lost']);
    for (const { seat } of [first, second, third]) seat.close();
  });

  it('is not taken by a tab that is stopped while it waits for it, and the one that lends keeps it', async () => {
    const [first, second, third] = [tab('f'), tab('f'), tab('f')] as const;
    await first.seat.take();
    const waiting = second.seat.takeOver();
    expect(second.seat.giveUp()).toBe(true);
    expect(await waiting).toBe('given_up');
    expect([first.seat.isHeld, second.seat.isHeld, second.seat.giveUp(), first.said]).toEqual([true, false, false, []]);
    first.seat.leave();
    await soon();
    expect(await third.seat.take()).toBe('ours');
    for (const { seat } of [first, second, third]) seat.close();
  });

  it('that comes a moment after the stop is left at once for others', async () => {
    const [first, second] = [tab('g'), tab('g')] as const;
    const taking = first.seat.take();
    first.seat.giveUp();
    expect(await taking).toBe('given_up');
    expect(await second.seat.take()).toBe('ours');
    for (const { seat } of [first, second]) seat.close();
  });

  it('that was given up and is wanted again is had by the second wish', async () => {
    const [first, second] = [tab('h'), tab('h')] as const;
    await first.seat.take();
    const given = second.seat.takeOver();
    second.seat.giveUp();
    const wanted = second.seat.takeOver();
    first.seat.leave();
    expect(await Promise.all([given, wanted])).toEqual(['given_up', 'ours']);
    expect(second.seat.isHeld).toBe(true);
    for (const { seat } of [first, second]) seat.close();
  });

  it.each([null, 'left', 7, [], {}, { t: 'steal' }, { t: 1 }])(
    'is not shaken by what another page of the origin says: %j',
    async (said) => {
      const { seat, seen } = tab('e');
      const stranger = new BroadcastChannel('e');
      stranger.postMessage(said);
      await soon();
      stranger.close();
      expect(seen).toEqual([]);
      expect(await seat.take()).toBe('ours');
      seat.close();
    },
  );
});
