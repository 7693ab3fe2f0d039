import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROBE_COLUMNS, type ProbeRow, toCsv } from '../../shared/checking/probe-row.ts';
import { ROOT } from '../paths.ts';

/** The committed data of calibration: what `npm run calibrate:collect` writes and `npm run calibrate` reads. */
export const CALIBRATION_FOLDER = join(ROOT, 'docs', 'calibration');

const file = (name: string) => join(CALIBRATION_FOLDER, name);

/** Cosines of an answer at temperature 0.8: with the checker's own answer, and with the prompt, in both embeddings. */
export interface SimilarityRow {
  readonly population: string;
  readonly prompt: number;
  readonly same: number;
  readonly own64: number;
  readonly prompt64: number;
  readonly ownMiniLm: number | null;
  readonly promptMiniLm: number | null;
}

/** A greedy answer. */
export interface TextRow {
  readonly population: string;
  readonly prompt: number;
  readonly finish: 'stop' | 'length';
  readonly text: string;
}

/** What a judge said of a greedy answer: the yes margins of the rubric's questions. */
export interface RubricRow {
  readonly judge: string;
  readonly population: string;
  readonly prompt: number;
  readonly margins: readonly number[];
}

export interface Collection {
  readonly probes: readonly ProbeRow[];
  readonly similarity: readonly SimilarityRow[];
  readonly texts: readonly TextRow[];
  readonly rubric: readonly RubricRow[];
}

const SIMILARITY_COLUMNS = [
  'population',
  'prompt',
  'same',
  'own64',
  'prompt64',
  'ownMiniLm',
  'promptMiniLm',
] as const satisfies readonly (keyof SimilarityRow)[];

const WORD_COLUMNS = new Set(['population', 'checker']);

/** Rows that a router collected, as it exports them. Throws for other columns. */
export function probesFromCsv(text: string): readonly ProbeRow[] {
  return fromCsv<ProbeRow>(text, PROBE_COLUMNS);
}

/** Questions for the embedded model, in a fixed order: prompts are named by their place. */
export async function readPrompts(): Promise<readonly { readonly kind: string; readonly text: string }[]> {
  const [, ...lines] = (await readFile(file('prompts.tsv'), 'utf8')).trim().split('\n');
  return lines.map((line) => {
    const [kind = '', text = ''] = line.split('\t');
    return { kind, text: text.replaceAll('\\n', '\n') };
  });
}

export async function readCollection(): Promise<Collection> {
  const [probes, similarity, texts, rubric] = await Promise.all(
    ['probes.csv', 'similarity.csv', 'texts.jsonl', 'rubric.jsonl'].map((name) => readFile(file(name), 'utf8')),
  );
  return {
    probes: fromCsv<ProbeRow>(probes ?? '', PROBE_COLUMNS),
    similarity: fromCsv<SimilarityRow>(similarity ?? '', SIMILARITY_COLUMNS),
    texts: fromLines<TextRow>(texts ?? ''),
    rubric: fromLines<RubricRow>(rubric ?? ''),
  };
}

/** Writes what is given and leaves the other files as they are. */
export async function writeCollection(part: Partial<Collection>): Promise<void> {
  if (part.probes !== undefined) await writeFile(file('probes.csv'), toCsv(part.probes, PROBE_COLUMNS));
  if (part.similarity !== undefined) {
    await writeFile(file('similarity.csv'), toCsv(part.similarity, SIMILARITY_COLUMNS));
  }
  if (part.texts !== undefined) await writeFile(file('texts.jsonl'), toLines(part.texts));
  if (part.rubric !== undefined) await writeFile(file('rubric.jsonl'), toLines(part.rubric));
}

function fromCsv<Row>(text: string, columns: readonly string[]): Row[] {
  const [head, ...lines] = text.trim().split('\n');
  if (head !== columns.join(',')) throw new Error(`The columns are ${head} instead of ${columns.join(',')}.`);
  return lines
    .filter((line) => line !== '')
    .map((line) => {
      const cells = line.split(',');
      const row = columns.map((column, i) => {
        const value = cells[i] ?? '';
        return [column, WORD_COLUMNS.has(column) ? value : value === '' ? null : Number(value)];
      });
      return Object.fromEntries(row) as Row;
    });
}

function toLines(rows: readonly object[]): string {
  return `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`;
}

function fromLines<Row>(text: string): Row[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
}
