/** The lines of a batch with some bad ones among them, each bad in its own way. */

export interface BatchLine {
  readonly text: string;
  /** What the error file should say of it; null for one that is good. */
  readonly fault: string | null;
  readonly customId: string | null;
  /** The request as it was asked; null for a bad line. */
  readonly body: Readonly<Record<string, unknown>> | null;
}

const SUBJECTS = ['a robot', 'a small dog', 'the sea', 'a red ball', 'the moon', 'a kind king', 'a lost key', 'rain'];

/** Bad lines lie evenly among the good ones. A `code` is of the row's own error or of the endpoint's. */
const FAULTS: readonly { readonly code: string; readonly spoil: (line: Record<string, unknown>) => string }[] = [
  { code: 'invalid_json_line', spoil: (line) => JSON.stringify(line).slice(0, -1) },
  { code: 'missing_required_parameter', spoil: ({ custom_id: _, ...line }) => JSON.stringify(line) },
  { code: 'duplicate_custom_id', spoil: (line) => JSON.stringify({ ...line, custom_id: 'request-1' }) },
  { code: 'invalid_url', spoil: (line) => JSON.stringify({ ...line, url: '/v1/images/generations' }) },
  {
    code: 'invalid_type',
    spoil: ({ body, ...line }) => JSON.stringify({ ...line, body: { ...(body as object), temperature: 'hot' } }),
  },
];

export const BAD_LINES = FAULTS.length;

export function batchLines(count: number, model: string, maxTokens: number): BatchLine[] {
  const every = Math.floor(count / (FAULTS.length + 1));
  return Array.from({ length: count }, (_, i) => {
    const number = i + 1;
    const customId = `request-${number}`;
    const body = {
      model,
      messages: [{ role: 'user', content: `Tell me story ${number} about ${SUBJECTS[i % SUBJECTS.length]}.` }],
      max_tokens: maxTokens,
      seed: number,
    };
    const line = { custom_id: customId, method: 'POST', url: '/v1/chat/completions', body };
    const fault = number % every === 0 ? FAULTS[number / every - 1] : undefined;
    if (fault === undefined) return { text: JSON.stringify(line), fault: null, customId, body };
    return { text: fault.spoil(line), fault: fault.code, customId: null, body: null };
  });
}
