import { utf8 } from '../../shared/bytes.ts';
import type { SelfTestQuestion } from '../../shared/classes/self-tests.ts';
import { LIKELIEST } from '../../shared/protocol/lease.ts';
import { type Engine, isAbort } from '../engine/engine.ts';
import type { PromptRenderer } from '../engine/render-prompt.ts';

/** What a device found out about itself. */
export type SelfTestResult =
  /** As far as it came it wrote what the class writes; `isWhole`: to the end. */
  | { readonly outcome: 'right'; readonly isWhole: boolean; readonly speed: number | null }
  /** No answer of this class is published: it wrote the same twice, which says less. */
  | { readonly outcome: 'steady'; readonly speed: number | null }
  /** It wrote too little in the time to say: whoever writes nothing contradicts no answer. */
  | { readonly outcome: 'slow'; readonly wroteBytes: number; readonly withinMs: number }
  | { readonly outcome: 'wrong'; readonly expected: string; readonly wrote: string };

/** The device does not write what its class writes. */
export class WrongDevice extends Error {
  override readonly name = 'WrongDevice';
}

/** The device may compute rightly, and is of no use with this model: nobody would wait for its answers, nor for its checks. */
export class SlowDevice extends Error {
  override readonly name = 'SlowDevice';
  /** A smaller model that could be tried; null where there is none. */
  readonly smaller: string | null;

  constructor(
    model: string,
    { wroteBytes, withinMs }: Extract<SelfTestResult, { outcome: 'slow' }>,
    smaller: string | null,
  ) {
    const wrote = wroteBytes === 0 ? 'nothing' : `${wroteBytes} ${wroteBytes === 1 ? 'letter' : 'letters'}`;
    super(`This device is too slow for ${model}: it wrote ${wrote} in ${Math.round(withinMs / 1000)} s.`);
    this.smaller = smaller;
  }
}

/** A person waits for it, ms. */
export const SELF_TEST_DEADLINE_MS = 20_000;
/** An answer that agrees as far as it came must have come so far, bytes: some four tokens. By chance no two texts agree in so many. */
export const SELF_TEST_LEAST_BYTES = 16;
/** Characters around the first that differs: enough to see what kind of wrong it is. */
const SHOWN_CHARACTERS = 24;
/** Asked where no answer is published. Greedy, so that whoever computes rightly writes the same each time. */
const UNPUBLISHED: Omit<SelfTestQuestion, 'text'> = {
  prompt: 'Name three colours.',
  sampling: { ...LIKELIEST, maxTokens: 8 },
};

/**
 * Asks the engine a question whose answer is known, and compares character by character. Never takes much longer than the deadline: what was written by then is
 * compared, where it is enough. Throws what the engine throws, and `AbortError` when the signal aborts.
 */
export async function selfTest(
  engine: Engine,
  renderer: PromptRenderer,
  published: SelfTestQuestion | null,
  signal: AbortSignal,
  deadlineMs: number = SELF_TEST_DEADLINE_MS,
): Promise<SelfTestResult> {
  const deadline = AbortSignal.timeout(deadlineMs);
  const { prompt, sampling } = published ?? UNPUBLISHED;
  const ask = { prompt: renderer.render([{ role: 'user', content: prompt }]), sampling };
  const first = await write(engine, ask, signal, deadline);
  if (published !== null) {
    const wrong = firstDifference(published.text, first.text, first.isWhole);
    return wrong ?? tooLittle([first], deadlineMs) ?? { outcome: 'right', isWhole: first.isWhole, speed: first.speed };
  }
  const second = await write(engine, ask, signal, deadline);
  const wrong = firstDifference(first.text, second.text, first.isWhole && second.isWhole);
  return wrong ?? tooLittle([first, second], deadlineMs) ?? { outcome: 'steady', speed: second.speed ?? first.speed };
}

interface Written {
  readonly text: string;
  readonly isWhole: boolean;
  /** Tokens per second; null when the answer did not end. */
  readonly speed: number | null;
}

async function write(
  engine: Engine,
  ask: { readonly prompt: string; readonly sampling: SelfTestQuestion['sampling'] },
  signal: AbortSignal,
  deadline: AbortSignal,
): Promise<Written> {
  let text = '';
  try {
    for await (const event of engine.generate({ ...ask, stop: [] }, AbortSignal.any([signal, deadline]))) {
      if (event.type === 'delta') text += event.text;
      if (event.type !== 'end') continue;
      const { completionTokens, decodeMs } = event;
      const speed = completionTokens > 1 && decodeMs > 0 ? (completionTokens * 1000) / decodeMs : null;
      return { text, isWhole: true, speed };
    }
  } catch (cause) {
    if (signal.aborted || !isAbort(cause)) throw cause;
  }
  return { text, isWhole: false, speed: null };
}

function tooLittle(each: readonly Written[], withinMs: number): Extract<SelfTestResult, { outcome: 'slow' }> | null {
  const bytes = ({ text }: Written) => utf8(text).byteLength;
  if (each.every((one) => one.isWhole || bytes(one) >= SELF_TEST_LEAST_BYTES)) return null;
  return { outcome: 'slow', wroteBytes: Math.max(...each.map(bytes)), withinMs };
}

function firstDifference(
  expected: string,
  wrote: string,
  isWhole: boolean,
): Extract<SelfTestResult, { outcome: 'wrong' }> | null {
  const compared = isWhole ? expected : expected.slice(0, wrote.length);
  if (compared === wrote) return null;
  let at = 0;
  while (at < wrote.length && compared[at] === wrote[at]) at++;
  const around = (text: string) => text.slice(Math.max(0, at - SHOWN_CHARACTERS), at + SHOWN_CHARACTERS);
  return { outcome: 'wrong', expected: around(compared), wrote: around(wrote) };
}
