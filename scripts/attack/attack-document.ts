import type { AttackRow, Share } from './attack-row.ts';

export interface AttackResults {
  readonly model: string;
  readonly browser: string;
  readonly tokens: number;
  readonly command: string;
  /** Attacks that this machine could not run, and why. */
  readonly skipped: readonly { readonly name: string; readonly why: string }[];
  readonly rows: readonly AttackRow[];
}

/** What the attacks showed, as Markdown. Printed after a run, and kept in `docs/attacks.md`. */
export function tablesOf(results: AttackResults): string {
  const of = (...kinds: readonly string[]) => results.rows.filter(({ kind }) => kinds.includes(kind));
  const parts = [
    `${results.model}, ${results.browser}, answers of up to ${results.tokens} tokens: \`${results.command}\`, N as large as the requests of a row.`,
    section('Answers that are lies', answerTable(of('answer', 'refused'))),
    section('Answers that are true, and something else is not', answerTable(of('true-answer'))),
    section('Checkers that lie, of true answers', checkerTable(of('checker'))),
    section('Tabs that agree on a lie', collusionTable(of('collusion'))),
    section('Tabs that lie now and then', sequenceTable(of('sequence'))),
    section('Answers of the near class that are lies, read by honest tabs', readTable(of('read-honest', 'read'))),
    section(
      'Readers that lie, of true answers of the near class',
      readerTable(of('reader')),
      'Answers of up to 48 tokens: blind guesses are scored from two cuts on.',
    ),
    section('The network’s own tasks, while nobody asks', idleTable(of('idle'))),
    ...results.skipped.map(({ name, why }) => `Left out: \`${name}\` (${why}).`),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function section(title: string, table: string, note = ''): string {
  return table === '' ? '' : [`**${title}**`, note, table].filter((part) => part !== '').join('\n\n');
}

function table(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  if (rows.length === 0) return '';
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}

function shareText(share: Share | null): string {
  return share === null ? '–' : `${share.percent} % (${share.low}–${share.high})`;
}

function named({ name, what, note }: AttackRow): string {
  return `\`${name}\`: ${what}${note === null ? '' : `; ${note}`}`;
}

function answerTable(rows: readonly AttackRow[]): string {
  return table(
    [
      'Attack',
      'Requests',
      'Lies',
      'Invalid',
      'Refused by the client',
      'Disputed',
      'Unchecked',
      'Valid',
      'Found at the first check (95 %)',
      'Honest tabs accused',
    ],
    rows.map((row) => [
      named(row),
      row.requests,
      row.lies,
      row.invalid,
      row.refused,
      row.disputed,
      row.unchecked,
      row.valid,
      shareText(row.found),
      row.accused,
    ]),
  );
}

function checkerTable(rows: readonly AttackRow[]): string {
  return table(
    [
      'Attack',
      'Answers',
      'Drawn',
      'Answer kept valid',
      'Liar outvoted',
      'Its check came to nothing',
      'Agreed',
      'Found (95 %)',
      'Rounds until found, median',
      'Honest tabs accused',
    ],
    rows.map((row) => [
      named(row),
      row.requests,
      row.lies,
      row.valid,
      row.checker?.outvoted ?? 0,
      row.checker?.nothing ?? 0,
      row.checker?.agreed ?? 0,
      shareText(row.found),
      row.until?.median ?? 'never',
      row.accused,
    ]),
  );
}

function collusionTable(rows: readonly AttackRow[]): string {
  return table(
    ['Attack', 'Lies', 'Found invalid (95 %)', 'Disputed', 'Passed as valid', 'Honest checkers outvoted'],
    rows.map((row) => [named(row), row.lies, shareText(row.found), row.disputed, row.valid, row.accused]),
  );
}

function sequenceTable(rows: readonly AttackRow[]): string {
  return table(
    [
      'Attack',
      'Answers',
      'Lies',
      'Found invalid (95 %)',
      'Tabs found out',
      'Answers until then: median',
      '95th',
      'Lies until then, median',
      'Honest tabs accused',
    ],
    rows.map((row) => [
      named(row),
      row.requests,
      row.lies,
      shareText(row.found),
      row.until?.tabs ?? 0,
      row.until?.median ?? 'never',
      row.until?.high ?? '–',
      row.until?.lies ?? '–',
      row.accused,
    ]),
  );
}

function readTable(rows: readonly AttackRow[]): string {
  return table(
    [
      'Attack',
      'Answers',
      'Lies',
      'Disputed',
      'Inconclusive or unchecked',
      'Passed as likely',
      'Failed at the first reading (95 %)',
      'Within 8 answers of the tab (95 %)',
    ],
    rows.map((row) => [
      named(row),
      row.requests,
      row.kind === 'read-honest' ? 0 : row.lies,
      row.disputed,
      row.inconclusive + row.unchecked,
      row.valid,
      shareText(row.read?.first ?? null),
      shareText(row.read?.withinEight ?? null),
    ]),
  );
}

function readerTable(rows: readonly AttackRow[]): string {
  return table(
    [
      'Attack',
      'Answers',
      'Drawn',
      'Answer passed as likely',
      'Disputed',
      'Liar outvoted',
      'Its check came to nothing',
      'Agreed',
      'Suspected afterwards',
      'Found (95 %)',
      'Checks until found, median',
    ],
    rows.map((row) => [
      named(row),
      row.requests,
      row.lies,
      row.valid,
      row.disputed,
      row.checker?.outvoted ?? 0,
      row.checker?.nothing ?? 0,
      row.checker?.agreed ?? 0,
      row.checker?.suspected ?? 0,
      shareText(row.found),
      row.until?.median ?? 'never',
    ]),
  );
}

function idleTable(rows: readonly AttackRow[]): string {
  return table(
    [
      'Attack',
      'Liars',
      'Quarantined (95 %)',
      'Own tasks until then: median',
      'most',
      'Seconds: median',
      'most',
      'Honest tabs accused',
    ],
    rows.map((row) => [
      named(row),
      row.lies,
      shareText(row.found),
      row.idle?.tasks ?? '–',
      row.idle?.mostTasks ?? '–',
      row.idle?.seconds ?? '–',
      row.idle?.mostSeconds ?? '–',
      row.accused,
    ]),
  );
}

/** The document with this part of it written anew: what stands between the two markers of a name. Throws when they are missing. */
export function withPart(document: string, name: string, part: string): string {
  const [begin, end] = [`<!-- begin ${name} -->`, `<!-- end ${name} -->`];
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from < 0 || to < from) throw new Error(`the document has no part '${name}'`);
  return `${document.slice(0, from)}${begin}\n\n${part}\n${document.slice(to)}`;
}
