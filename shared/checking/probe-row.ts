/** A forced decode of one answer by one checker: a row of the data of calibration, as it is committed and as a router collects it. Empty cells are `null`. */
export interface ProbeRow {
  readonly population: string;
  readonly prompt: number;
  readonly temperature: number;
  readonly checker: string;
  /** 1 when the text is the honest answer, to the byte. */
  readonly same: number;
  readonly positions: number;
  readonly meanGap: number;
  readonly largestGap: number;
  readonly outside: number;
  readonly z: number | null;
  readonly largestSurprise: number | null;
  readonly undrawable: number | null;
  readonly meanDistance: number | null;
  readonly strayed: number | null;
  readonly cuts: number;
  readonly first: number;
  readonly among: number;
}

export const PROBE_COLUMNS = [
  'population',
  'prompt',
  'temperature',
  'checker',
  'same',
  'positions',
  'meanGap',
  'largestGap',
  'outside',
  'z',
  'largestSurprise',
  'undrawable',
  'meanDistance',
  'strayed',
  'cuts',
  'first',
  'among',
] as const satisfies readonly (keyof ProbeRow)[];

/** Of answers that nobody made up: the same name in the committed data and in those of a router. */
export const HONEST = 'honest';

/** Checkers of the rows that a router collects. */
export const IDLE_CHECKERS = { statistical: 'idle', 'cross-class': 'idle-cross-class' } as const;

export function toCsv<Row extends object>(rows: readonly Row[], columns: readonly (keyof Row & string)[]): string {
  const lines = rows.map((row) => columns.map((column) => cell(row[column])).join(','));
  return `${[columns.join(','), ...lines].join('\n')}\n`;
}

/** Four significant digits: more would be noise, and the file is read by people. */
function cell(value: unknown): string {
  if (typeof value !== 'number') return value === null ? '' : String(value);
  return String(Number(value.toPrecision(4)));
}
