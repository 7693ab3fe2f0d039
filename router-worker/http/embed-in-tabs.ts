import { utf8 } from '../../shared/bytes.ts';
import type { ServedVariant } from '../../shared/classes/catalogue.ts';
import { ShoalError } from '../../shared/errors.ts';
import { type EmbeddingRequest, refuseOtherDimensions } from '../../shared/protocol/embeddings-api.ts';
import { NOT_SAMPLED } from '../../shared/protocol/lease.ts';
import { ANYWHERE, type Placement } from '../../shared/protocol/placement.ts';
import { vectorOfLine } from '../../shared/protocol/vector-lines.ts';
import { type Completion, collectCompletion } from '../../shared/sealed-task/completion.ts';
import { embeddedTokensAtMost } from '../models/quote.ts';
import { AllPools } from '../pool/all-pools.ts';
import { leastSure } from '../segmentation/choices.ts';
import { cutTexts, type TextsPart } from '../segmentation/cut-texts.ts';
import type { PartPrompt } from '../segmentation/open-parts.ts';
import type { RunningPart } from '../segmentation/parts-run.ts';
import { SURE_HEADER } from './chat-response.ts';
import { orStopAll } from './choices-response.ts';
import type { AppContext } from './context.ts';
import type { NamedSession } from './named-session.ts';
import { openPartsOfRequest } from './parts-of-request.ts';
import { refuseTooManyNumbers, respondVectors } from './vectors-response.ts';

/** The vectors of a model that tabs run: the texts in parts, each a task with its own receipt and check, all of one class, in the order of the request. */
export async function embedInTabs(
  c: AppContext,
  named: NamedSession | null,
  request: EmbeddingRequest,
  found: readonly [ServedVariant, ...ServedVariant[]],
): Promise<Response> {
  const { served, free } = await classWithMostTabs(c, found, named?.settings.placement ?? ANYWHERE);
  const { model, variant } = served;
  const dimensions = model.embed?.dimensions ?? 0;
  refuseOtherDimensions(request, model.id, dimensions);
  refuseTooManyNumbers(request, dimensions);
  const { inputs, isList } = request;
  const sizes = inputs.map((text) => utf8(text).byteLength);
  const longest = sizes.indexOf(Math.max(...sizes));
  const cuts = cutTexts(inputs, dimensions, free);
  const parts = await openPartsOfRequest(c, named, {
    model: request.model,
    variants: [served],
    level: request.checking?.level ?? null,
    checks: request.checking?.checks ?? 1,
    promptBytes: sizes[longest] ?? 0,
    promptField: isList ? `input[${longest}]` : 'input',
    awaitVerdict: request.checking?.awaitVerdict === true,
    sampling: {},
    count: cuts.length,
    isWhole: true,
    hasOwnDeadlines: false,
    tokensAtMost: () => embeddedTokensAtMost(model, inputs).total,
    sessionSeed: inputs.slice(0, 1),
  });
  const running = parts.run.add(cuts.map(promptOf));
  c.executionCtx.waitUntil(parts.run.finished());
  const awaitVerdict = request.checking?.awaitVerdict === true || parts.level === 'strict';
  const whole = Promise.all(
    running.map((part, at) => collectVectors(part, cuts[at] ?? { from: 0, texts: [] }, isList, awaitVerdict)),
  );
  const embedded = await orStopAll(whole, parts);
  parts.run.given();
  const sure = leastSure(embedded.map(({ shoal }) => shoal.sure));
  const claimed = embedded.reduce((sum, { usage }) => sum + usage.prompt_tokens, 0);
  const tokens = Math.min(claimed, embeddedTokensAtMost(model, inputs).total);
  const lines = embedded.flatMap(({ choices }) => choices[0]?.message.content.split('\n') ?? []);
  return respondVectors(
    lines,
    (line) => (request.encoding === 'base64' ? line : [...(vectorOfLine(line, dimensions) ?? [])]),
    {
      model: `${model.id}:${variant.id}`,
      system_fingerprint: served.class,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
      shoal: {
        tasks: embedded.map(({ shoal }) => shoal.task),
        receipts: embedded.map(({ shoal }) => shoal.receipt),
        sure,
        parts: embedded.map(({ shoal: { seed: _, ...notes } }, at) => ({
          from: cuts[at]?.from ?? 0,
          inputs: cuts[at]?.texts.length ?? 0,
          ...notes,
        })),
      },
    },
    { ...parts.headers(), [SURE_HEADER]: sure },
  );
}

/** Of the classes that may serve, by the tabs that may read, the one with the most free tabs, then the most tabs: vectors of two classes are not to be compared to the last digit. */
async function classWithMostTabs(
  c: AppContext,
  found: readonly [ServedVariant, ...ServedVariant[]],
  placement: Placement,
): Promise<{ readonly served: ServedVariant; readonly free: number }> {
  const { serving } = await new AllPools(c.env).outlook(placement, [], 0);
  const census = new Map(serving.map((entry) => [entry.class, entry]));
  const counted = found.map((served) => {
    const { free = 0, tabs = 0 } = census.get(served.class) ?? {};
    return { served, free, tabs };
  });
  const [best] = counted.toSorted((a, b) => b.free - a.free || b.tabs - a.tabs);
  return best ?? { served: found[0], free: 0 };
}

function promptOf({ texts }: TextsPart): PartPrompt {
  return {
    kind: 'embed',
    messages: texts.map((content) => ({ role: 'user', content })),
    stop: [],
    sampling: NOT_SAMPLED,
  };
}

/** A text that is too long is named by its place in the request. */
async function collectVectors(
  part: RunningPart<PartPrompt>,
  { from, texts }: TextsPart,
  isList: boolean,
  awaitVerdict: boolean,
): Promise<Completion> {
  try {
    return await collectCompletion(part, part.updates(), awaitVerdict);
  } catch (cause) {
    if (!(cause instanceof ShoalError) || cause.param === null || !/^(messages|input)/.test(cause.param)) throw cause;
    const place = Number(/^input\[(\d+)\]$/.exec(cause.param)?.[1] ?? Number.NaN);
    const isKnown = isList && place < texts.length;
    const param = isKnown ? `input[${from + place}]` : 'input';
    throw new ShoalError(cause.code, cause.message, { param, retryAfterMs: cause.retryAfterMs, cause });
  }
}
