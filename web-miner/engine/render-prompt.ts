import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import type { ChatForm } from '../../shared/classes/catalogue.ts';
import type { ChatMessage } from '../../shared/protocol/sealed-body.ts';
import { EngineError } from './engine.ts';

/**
 * A conversation as the model's chat template writes it. Part of the class (`renderer`): the same text for the same messages, always. So the
 * template gets no clock: models whose template prints the date get the day on which this renderer was written.
 */
export interface PromptRenderer {
  /** Throws {@link EngineError} `unsupported` when the template refuses the conversation, for instance its order of roles. */
  render(messages: readonly ChatMessage[]): string;
}

const FIXED_DATE = '22 Nov 2026';
/** Put between the first and second character of a control token in a message: it reads the same and is no token. */
const ZERO_WIDTH_SPACE = '\u200b';

export function promptRenderer(chat: ChatForm): PromptRenderer {
  const program = parse(tokenize(chat.template, { lstrip_blocks: true, trim_blocks: true }));
  const control = controlTokens(chat.controlTokens);
  return {
    render(messages) {
      let prompt: string;
      try {
        const scope = new Environment();
        const values = {
          ...GLOBALS,
          messages: messages.map(({ role, content }) => ({ role, content: neutralize(content, control) })),
          add_generation_prompt: true,
          bos_token: chat.bosToken,
          eos_token: chat.eosToken,
        };
        for (const [name, value] of Object.entries(values)) scope.set(name, value);
        prompt = String(new Interpreter(scope).run(program).value);
      } catch (cause) {
        if (cause instanceof EngineError) throw cause;
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new EngineError('unsupported', `The model's chat template refuses this conversation: ${reason}`);
      }
      return chat.addBos && chat.bosToken !== '' && prompt.startsWith(chat.bosToken)
        ? prompt.slice(chat.bosToken.length)
        : prompt;
    },
  };
}

/** What a template may call. The package's own globals are not used, because they include a clock. */
const GLOBALS = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception: (text: unknown) => {
    throw new Error(String(text));
  },
  range: (first: number, last?: number, step = 1) => {
    const [from, to] = last === undefined ? [0, first] : [first, last];
    return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step);
  },
  strftime_now: () => FIXED_DATE,
};

interface ControlTokens {
  readonly pattern: RegExp;
  readonly longest: number;
}

function controlTokens(tokens: readonly string[]): ControlTokens | null {
  const breakable = tokens.filter((token) => token.length > 1);
  if (breakable.length === 0) return null;
  const escaped = breakable.map((token) => token.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return { pattern: new RegExp(escaped.join('|'), 'g'), longest: Math.max(...breakable.map(({ length }) => length)) };
}

/**
 * Text that posed as a control token is broken up, so that no message can end its turn or open another one. Tokens may overlap, and breaking one can
 * leave the next in one piece: each pass moves what is left at least one character on within the token before, so there are no more passes
 * than the longest token has characters.
 */
function neutralize(text: string, control: ControlTokens | null): string {
  if (control === null) return text;
  let broken = text;
  for (let pass = 0; pass <= control.longest; pass++) {
    const before = broken;
    broken = before.replace(control.pattern, (token) => `${token.slice(0, 1)}${ZERO_WIDTH_SPACE}${token.slice(1)}`);
    if (broken === before) return broken;
  }
  // Only a vocabulary whose tokens hold the space itself gets here.
  throw new EngineError('unsupported', 'A message cannot be told from the control tokens of this model.');
}
