import type { ChatForm, ModelEntry, Need, VariantEntry } from '../../shared/classes/catalogue.ts';
import type { ModelShape } from '../../shared/classes/memory-estimate.ts';

/** What a catalogue entry takes from a model's own files. */
export interface ModelFacts {
  readonly format: VariantEntry['format'];
  readonly defaultId: string;
  readonly name: string;
  readonly description: string;
  readonly quantization: string;
  readonly architecture: string;
  /** Null where the files do not say. */
  readonly parameters: number | null;
  /** What it was trained for. */
  readonly contextTokens: number;
  readonly longestTokenBytes: number;
  readonly licence: ModelEntry['licence'];
  /** Null for a model that does not chat. */
  readonly chat: ChatForm | null;
  /** Null for a model that does not embed. */
  readonly embed: ModelEntry['embed'];
  readonly shape: ModelShape;
  readonly needs: readonly Need[];
}

/** Where the licences that files name most often can be read. */
const LICENCE_TEXTS: Readonly<Record<string, string>> = {
  'apache-2.0': 'https://www.apache.org/licenses/LICENSE-2.0',
  mit: 'https://opensource.org/license/mit',
};

/** What Meta asks of whoever hands its models on: the agreement's own sentence, "Built with Llama", and its text, before the weights are fetched. */
function llamaLicence(version: string): ModelEntry['licence'] {
  const page = `https://www.llama.com/llama${version.replace('.', '_')}`;
  return {
    id: `llama${version}`,
    notice: `Built with Llama. Llama ${version} is licensed under the Llama ${version} Community License, Copyright © Meta Platforms, Inc. All Rights Reserved. Its Acceptable Use Policy applies: ${page}/use-policy/`,
    url: `${page}/license/`,
    mustShow: true,
  };
}

/** A licence as a file names it. */
export function statedLicence(id: string | null, notice: string | null): ModelEntry['licence'] {
  const [, llama] = /^llama[- ]?(3(?:\.\d)?)$/i.exec(id ?? '') ?? [];
  if (llama !== undefined) return llamaLicence(llama);
  const known = id ?? 'unknown';
  const sentence = id === null ? 'The files do not say their licence.' : `Licence as stated in the file: ${id}.`;
  return { id: known, notice: notice ?? sentence, url: LICENCE_TEXTS[known] ?? null, mustShow: false };
}

export function textOrNull(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

/** A model's name for requests from the name of its file or folder: `SmolLM2-135M-Instruct.Q4_1` and `q4_1` → `smollm2-135m-instruct`. */
export function idFrom(name: string, quantization: string): string {
  return name
    .toLowerCase()
    .replace(new RegExp(`[.-]?${quantization.replace(/_/g, '[_-]')}$`), '')
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
    .slice(0, 64);
}
