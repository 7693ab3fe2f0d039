import type { ChoiceChunk, Choices } from './choices.ts';

/** Choices in the shape of OpenAI's older `/v1/completions`: text instead of messages. */

type TextChoice = Omit<Choices['choices'][number], 'message' | 'logprobs'> & {
  readonly text: string;
  readonly logprobs: null;
};

export type TextCompletion = Omit<Choices, 'object' | 'choices'> & {
  readonly object: 'text_completion';
  readonly choices: readonly TextChoice[];
};

export function textCompletion(choices: Choices): TextCompletion {
  return {
    ...choices,
    id: ofText(choices.id),
    object: 'text_completion',
    choices: choices.choices.map(({ message, ...choice }) => ({ ...choice, text: message.content })),
  };
}

export type TextCompletionChunk = Omit<ChoiceChunk, 'object' | 'choices'> & {
  readonly object: 'text_completion';
  readonly choices: readonly (Omit<ChoiceChunk['choices'][number], 'delta'> & { readonly text: string })[];
};

export async function* textCompletionChunks(
  chunks: AsyncGenerator<ChoiceChunk, void, undefined>,
): AsyncGenerator<TextCompletionChunk, void, undefined> {
  for await (const chunk of chunks) {
    yield {
      ...chunk,
      id: ofText(chunk.id),
      object: 'text_completion',
      choices: chunk.choices.map(({ delta, ...choice }) => ({ ...choice, text: delta.content ?? '' })),
    };
  }
}

/** OpenAI's ids of text completions begin otherwise than those of chats. */
function ofText(id: string): string {
  return id.replace(/^chatcmpl-/, 'cmpl-');
}
