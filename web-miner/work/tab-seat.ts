import * as v from 'valibot';

/** One tab of a profile lends, the others show what it does: they share a key, and the router seats a key once (L2). */

export interface SeatPorts {
  readonly locks: Pick<LockManager, 'request' | 'query'>;
  readonly channel: Pick<BroadcastChannel, 'postMessage' | 'close'> & {
    onmessage: ((event: MessageEvent) => void) | null;
  };
  /** Another tab wants the seat: whoever holds it stops, and then leaves it. */
  readonly onAsked: () => void;
  /** The seat was taken from this tab. */
  readonly onLost: () => void;
  /** What the tab that lends says of itself; null: none lends any more. */
  readonly onShown: (shown: unknown) => void;
}

/** How a wish for the seat ended: had, another tab has it, or whoever wished it did not wait. */
export type Seating = 'ours' | 'theirs' | 'given_up';

const LOCK = 'shoal-lending-tab';
export const SEAT_CHANNEL = 'shoal-lending-tab';
/** Time for the other tab to stop by itself, ms: it has a running answer to give back, and an engine. */
const HAND_OVER_MS = 3_000;

const seatMessage = v.variant('t', [
  v.object({ t: v.picklist(['hello', 'wanted', 'left']) }),
  v.object({ t: v.literal('shown'), shown: v.unknown() }),
]);
type SeatMessage = v.InferOutput<typeof seatMessage>;

/** The right of this profile to lend, held by a Web Lock as long as the tab lives. */
export class TabSeat {
  readonly #ports: SeatPorts;
  #leave: (() => void) | null = null;
  #wish: AbortController | null = null;
  #shown: unknown = null;

  constructor(ports: SeatPorts) {
    this.#ports = ports;
    ports.channel.onmessage = (event) => this.#heard(event.data);
    this.#say({ t: 'hello' });
  }

  get isHeld(): boolean {
    return this.#leave !== null;
  }

  /** Whether another tab of this profile lends now. */
  async isTaken(): Promise<boolean> {
    const { held } = await this.#ports.locks.query();
    return !this.isHeld && held?.some(({ name }) => name === LOCK) === true;
  }

  take(): Promise<Seating> {
    return this.#wished(() => this.#request({ ifAvailable: true }));
  }

  /** Asks the other tab to stop, and takes the seat from one that does not. */
  takeOver(): Promise<Seating> {
    this.#say({ t: 'wanted' });
    return this.#wished(async (givenUp) => {
      const patience = AbortSignal.any([AbortSignal.timeout(HAND_OVER_MS), givenUp]);
      return (await this.#request({ signal: patience })) || (!givenUp.aborted && this.#request({ steal: true }));
    });
  }

  /** Whoever waits for the seat wants it no more. False when nobody waits. */
  giveUp(): boolean {
    const isWaiting = this.#wish !== null;
    this.#wish?.abort();
    this.#wish = null;
    return isWaiting;
  }

  async #wished(request: (givenUp: AbortSignal) => Promise<boolean>): Promise<Seating> {
    this.giveUp();
    const wish = new AbortController();
    this.#wish = wish;
    const isOurs = await request(wish.signal);
    if (this.#wish === wish) this.#wish = null;
    if (!wish.signal.aborted) return isOurs ? 'ours' : 'theirs';
    if (isOurs) this.leave(); // It came a moment too late.
    return 'given_up';
  }

  /** What the viewers see. */
  show(shown: unknown): void {
    this.#shown = shown;
    if (this.isHeld) this.#say({ t: 'shown', shown });
  }

  leave(): void {
    if (this.#leave === null) return;
    this.#leave();
    this.#leave = null;
    this.#say({ t: 'left' });
  }

  close(): void {
    this.leave();
    this.#ports.channel.close();
  }

  /** Resolves when the lock is held, or will not be; it is kept until {@link leave}. */
  #request(options: LockOptions): Promise<boolean> {
    const got = Promise.withResolvers<boolean>();
    const held = this.#ports.locks.request(LOCK, options, (lock) => {
      if (lock === null) return got.resolve(false);
      const kept = Promise.withResolvers<void>();
      this.#leave = kept.resolve;
      got.resolve(true);
      return kept.promise;
    });
    held.catch(() => {
      // Not had in time, or stolen by another tab.
      got.resolve(false);
      if (this.#leave === null) return;
      this.#leave = null;
      this.#ports.onLost();
    });
    return got.promise;
  }

  /** Any page of this origin can speak here, also one of an earlier release. */
  #heard(said: unknown): void {
    const heard = v.safeParse(seatMessage, said);
    if (!heard.success) return;
    const message = heard.output;
    if (message.t === 'hello' && this.isHeld) this.show(this.#shown);
    if (message.t === 'wanted' && this.isHeld) this.#ports.onAsked();
    if (this.isHeld) return;
    if (message.t === 'shown') this.#ports.onShown(message.shown);
    if (message.t === 'left') this.#ports.onShown(null);
  }

  #say(message: SeatMessage): void {
    this.#ports.channel.postMessage(message);
  }
}
