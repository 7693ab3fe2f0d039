import { exponential, normal, seededRandom } from '../seeded-random.ts';

/** Kinds of devices: their share, and how fast they run a model of about a billion parameters, tokens per second (medians). Assumed, not measured. */
const DEVICES = [
  { kind: 'slow CPU', share: 0.25, prefill: 18, decode: 5 },
  { kind: 'CPU', share: 0.35, prefill: 45, decode: 11 },
  { kind: 'built-in GPU', share: 0.25, prefill: 180, decode: 18 },
  { kind: 'GPU', share: 0.12, prefill: 900, decode: 45 },
  { kind: 'large GPU', share: 0.03, prefill: 2_500, decode: 90 },
] as const;
/** Spread of the devices of one kind (sigma of a log-normal). */
const SPREAD = 0.3;

const MINUTE_MS = 60_000;
const MEAN_STAY_MS = 25 * MINUTE_MS;
const MEAN_VISIBLE_MS = 10 * MINUTE_MS;
const MEAN_HIDDEN_MS = 3 * MINUTE_MS;
/** A tab in the background gets this share of its speed. */
const HIDDEN_SPEED = 0.4;
/** Share of the tabs that go without a word: a lid, a dead battery. */
const SILENT_SHARE = 0.3;

const ROUND_TRIP_MS = { median: 90, sigma: 0.4 };

interface Spell {
  readonly until: number;
  readonly speed: number;
}

/** What a tab would do with a request that it begins at some instant. */
export interface Course {
  readonly acceptedAt: number;
  readonly firstTokenAt: number;
  readonly endAt: number;
}

/** A tab as it really is: nobody in the network is told, but an all-knowing scheduler. */
export class Device {
  readonly name: string;
  readonly prefill: number;
  readonly decode: number;
  readonly roundTripMs: number;
  readonly joinsAt: number;
  readonly leavesAt: number;
  readonly leavesSilently: boolean;
  readonly #random: () => number;
  readonly #spells: Spell[] = [];
  /** Where the last look at the spells ended: time goes forward, mostly. */
  #spell = 0;

  constructor(name: string, joinsAt: number, random: () => number) {
    const kind = kindOf(random());
    this.name = name;
    this.prefill = kind.prefill * Math.exp(SPREAD * normal(random));
    this.decode = kind.decode * Math.exp(SPREAD * normal(random));
    this.roundTripMs = ROUND_TRIP_MS.median * Math.exp(ROUND_TRIP_MS.sigma * normal(random));
    this.joinsAt = joinsAt;
    this.leavesAt = joinsAt + MEAN_STAY_MS * exponential(random);
    this.leavesSilently = random() < SILENT_SHARE;
    this.#random = random;
  }

  /** How it would go, if the tab stayed. */
  course(
    at: number,
    work: { readonly promptTokens: number; readonly outputTokens: number; readonly pace: number },
  ): Course {
    const acceptedAt = at + this.roundTripMs;
    const firstTokenAt = this.#after(acceptedAt, (1000 * work.promptTokens * work.pace) / this.prefill);
    return {
      acceptedAt,
      firstTokenAt,
      endAt: this.#after(firstTokenAt, (1000 * work.outputTokens * work.pace) / this.decode),
    };
  }

  /** The instant at which so much work at full speed is done, ms. */
  #after(at: number, fullSpeedMs: number): number {
    let left = fullSpeedMs;
    let now = at;
    if ((this.#spells[this.#spell - 1]?.until ?? 0) > at) this.#spell = 0;
    while ((this.#spells[this.#spell]?.until ?? Number.POSITIVE_INFINITY) <= at) this.#spell++;
    for (let i = this.#spell; ; i++) {
      const spell = this.#spellAt(i, at);
      if (spell.until <= now) continue;
      const takesMs = left / spell.speed;
      if (now + takesMs <= spell.until) return now + takesMs;
      left -= (spell.until - now) * spell.speed;
      now = spell.until;
    }
  }

  #spellAt(index: number, at: number): Spell {
    for (;;) {
      const known = this.#spells[index];
      if (known !== undefined) return known;
      const before = this.#spells.at(-1);
      const isVisible = before === undefined ? this.#random() < 0.75 : before.speed < 1;
      const lengthMs = (isVisible ? MEAN_VISIBLE_MS : MEAN_HIDDEN_MS) * exponential(this.#random);
      const from = before?.until ?? Math.min(at, this.joinsAt);
      this.#spells.push({ until: from + lengthMs, speed: isVisible ? 1 : HIDDEN_SPEED });
    }
  }

  /** Requests of this mean size that it serves in a second while it is there. */
  perSecond(mean: { readonly promptTokens: number; readonly outputTokens: number }): number {
    const visible = MEAN_VISIBLE_MS / (MEAN_VISIBLE_MS + MEAN_HIDDEN_MS);
    const speed = visible + (1 - visible) * HIDDEN_SPEED;
    const seconds = mean.promptTokens / this.prefill + mean.outputTokens / this.decode;
    return 1 / (this.roundTripMs / 1000 + seconds / speed);
  }
}

/** About `count` tabs at any time: those that are there at the beginning, and a Poisson process of newcomers until `untilMs`. */
export function population(count: number, untilMs: number, random: () => number): Device[] {
  const devices = Array.from({ length: count }, (_, i) => new Device(`tab${i}`, 0, seeded(random)));
  for (
    let at = (MEAN_STAY_MS / count) * exponential(random);
    at < untilMs;
    at += (MEAN_STAY_MS / count) * exponential(random)
  ) {
    devices.push(new Device(`tab${devices.length}`, at, seeded(random)));
  }
  return devices;
}

/** A generator of its own for each device, so that what one of them does changes no other. */
function seeded(random: () => number): () => number {
  return seededRandom(Math.floor(random() * 0xffff_ffff));
}

function kindOf(draw: number): (typeof DEVICES)[number] {
  let sum = 0;
  for (const device of DEVICES) {
    sum += device.share;
    if (draw < sum) return device;
  }
  return DEVICES[0];
}
