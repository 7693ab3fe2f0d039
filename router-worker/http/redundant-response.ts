import { ShoalError } from '../../shared/errors.ts';
import type { ChatRequest } from '../../shared/protocol/chat-api.ts';
import { type Completion, type CompletionChunk, collectCompletion } from '../../shared/sealed-task/completion.ts';
import { promptBytes } from '../../shared/sealed-task/sealed-task.ts';
import { completeSampling } from '../models/complete-sampling.ts';
import { tokensAtMost } from '../models/quote.ts';
import { sentenceTable } from '../models/sentence-table.ts';
import { addUsage } from '../segmentation/choices.ts';
import { type ChosenAnswer, chooseAnswer } from '../segmentation/choose-answer.ts';
import { respondEvents, SURE_HEADER } from './chat-response.ts';
import { firstTurnOf, orStopAll, sourceOf, stoppingAll, streamHeaders } from './choices-response.ts';
import type { AppContext } from './context.ts';
import type { NamedSession } from './named-session.ts';
import { openPartsOfRequest } from './parts-of-request.ts';

interface RedundantNotes {
  readonly asked: number;
  readonly answered: number;
  readonly agree: number;
  readonly by: ChosenAnswer['by'];
  /** Everybody who answered, the one whose answer is given first. */
  readonly answers: readonly {
    readonly task: string;
    readonly receipt: string;
    readonly tab: string;
    readonly agrees: boolean;
  }[];
}

type RedundantCompletion = Omit<Completion, 'shoal'> & {
  readonly shoal: Completion['shoal'] & { readonly redundancy: RedundantNotes };
};

/** One chat by several tabs at once, with one seed: the answer that most of them wrote, or the one most like the others. */
export async function respondRedundant(
  c: AppContext,
  named: NamedSession | null,
  request: ChatRequest,
): Promise<Response> {
  const parts = await openPartsOfRequest(c, named, {
    ...request,
    count: request.redundancy,
    isWhole: false, // Each is asked for, to be compared: whoever comes is one of them.
    hasOwnDeadlines: false,
    promptBytes: promptBytes(request.messages),
    promptField: 'messages',
    tokensAtMost: (model) =>
      request.redundancy *
      tokensAtMost(
        model,
        promptBytes(request.messages),
        request.messages.length,
        completeSampling(model, request.sampling).maxTokens,
      ).total,
    sessionSeed: firstTurnOf(request),
  });
  const { run, level } = parts;
  const { messages, stop } = request;
  const prompt = { messages, stop, sampling: completeSampling(parts.model, request.sampling) };
  const running = run.add(
    Array.from({ length: request.redundancy }, () => prompt),
    { group: 'redundant' },
  );
  c.executionCtx.waitUntil(run.finished());
  const choose = async (): Promise<RedundantCompletion> => {
    const awaitVerdict = request.awaitVerdict || level === 'strict';
    const ends = await Promise.allSettled(running.map((part) => collectCompletion(part, part.updates(), awaitVerdict)));
    const answers = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
    if (answers.length === 0) {
      throw ShoalError.from(ends.find((end) => end.status === 'rejected')?.reason);
    }
    return chosenOf(answers, request.redundancy, await sentenceTable(c.env));
  };
  if (!request.stream) {
    const completion = await orStopAll(choose(), parts);
    return Response.json(completion, { headers: { ...parts.headers(), [SURE_HEADER]: completion.shoal.sure } });
  }
  const chunks = wholeAsChunks(choose, request.includeUsage);
  return respondEvents(stoppingAll(chunks, parts), sourceOf(parts), () => streamHeaders(parts));
}

function chosenOf(
  answers: readonly Completion[],
  asked: number,
  table: Parameters<typeof chooseAnswer>[1],
): RedundantCompletion {
  const compared = answers.map(({ system_fingerprint: id, choices: [choice] }) => ({
    class: id,
    text: choice?.message.content ?? '',
    finish: choice?.finish_reason ?? '',
  }));
  const { at, by, agree } = chooseAnswer(compared, table);
  const [chosen, given] = [answers[at], compared[at]];
  if (chosen === undefined || given === undefined) throw new RangeError('One of the answers is chosen.');
  const agrees = (other: (typeof compared)[number] | undefined) => JSON.stringify(other) === JSON.stringify(given);
  const told = answers.map(({ shoal: { task, receipt, tab } }, i) => ({
    task,
    receipt,
    tab,
    agrees: agrees(compared[i]),
  }));
  const inOrder = [...told.slice(at, at + 1), ...told.slice(0, at), ...told.slice(at + 1)];
  return {
    ...chosen,
    usage: addUsage(answers.map(({ usage }) => usage)),
    shoal: { ...chosen.shoal, redundancy: { asked, answered: answers.length, agree, by, answers: inOrder } },
  };
}

/** An answer that is there only as a whole, in the shape of a stream. */
async function* wholeAsChunks(
  choose: () => Promise<RedundantCompletion>,
  includeUsage: boolean,
): AsyncGenerator<Omit<CompletionChunk, 'shoal'> & { readonly shoal?: RedundantCompletion['shoal'] }, void, undefined> {
  const { choices, usage, shoal, ...rest } = await choose();
  const head = { ...rest, object: 'chat.completion.chunk' as const };
  for (const { index, message, finish_reason } of choices) {
    const { role, content } = message;
    yield { ...head, choices: [{ index, delta: { role, content }, logprobs: null, finish_reason: null }] };
    yield { ...head, choices: [{ index, delta: {}, logprobs: null, finish_reason }], shoal };
  }
  if (includeUsage) yield { ...head, choices: [], usage };
}
