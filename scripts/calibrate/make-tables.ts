import { type Interval, overlap, proportionInterval } from '../../shared/checking/intervals.ts';
import type { ProbeRow } from '../../shared/checking/probe-row.ts';
import { RUBRIC_QUESTIONS } from '../../shared/checking/rubric.ts';
import { SEMANTIC_SIGNS, semanticSigns } from '../../shared/checking/semantic-signs.ts';
import { cosine } from '../../shared/checking/similarity.ts';
import { PROBE_CANDIDATES } from '../../shared/limits.ts';
import { median } from '../bench/figures.ts';
import { type Area, areaUnderCurve } from './area-under-curve.ts';
import type { Collection, SimilarityRow, TextRow } from './calibration-data.ts';
import { areaOfQuestion, areaOfScore, judgedExamples, judgesOf } from './judge-areas.ts';
import { CHECKERS, honestReadings, isHeldOut, type Limits, type Pair } from './make-limits.ts';

/** The tables of `docs/checking.md`, by the name of the markers that they stand between. */
export function makeTables(
  data: Collection,
  limits: Limits,
  embed: (text: string) => Float32Array,
  prompts: readonly string[],
): Readonly<Record<string, string>> {
  return {
    size: sizeTable(data, prompts),
    arithmetics: arithmeticsTable(data.probes),
    limits: limitsTable(data.probes, limits),
    statistical: ratesTable(data.probes, limits, 'statistical'),
    'cross-class': ratesTable(data.probes, limits, 'crossClass'),
    guesses: guessesTable(data.probes),
    similarity: similarityTable(data.similarity),
    signs: signsTable(data.texts, limits, embed, prompts),
    rubric: rubricTable(data),
  };
}

const NOT_TOLD_APART = 'not told apart';

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function percent(share: number): string {
  const text = (share * 100).toFixed(share > 0 && share < 0.0995 ? 1 : 0);
  return `${text} %`;
}

/** `12 of 54: 22 % (12–36)`. */
function rate(hits: number, trials: number): string {
  if (trials === 0) return '–';
  const { low, high } = proportionInterval(hits, trials);
  return `${hits} of ${trials}: ${percent(hits / trials)} (${(low * 100).toFixed(0)}–${(high * 100).toFixed(0)})`;
}

function figure(value: number): string {
  return !Number.isFinite(value) ? '–' : String(Number(value.toPrecision(3)));
}

function populationsOf(rows: readonly { readonly population: string }[]): readonly string[] {
  return [...new Set(rows.map(({ population }) => population))].filter((name) => !name.startsWith('honest'));
}

function numbers(rows: readonly ProbeRow[], column: keyof ProbeRow): readonly number[] {
  return rows.map((row) => row[column]).filter((value) => typeof value === 'number');
}

/** The smallest value that this share of all values does not exceed. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN;
}

function sizeTable({ probes, similarity, texts, rubric }: Collection, prompts: readonly string[]): string {
  const attacked = prompts.filter((_, prompt) => isHeldOut({ prompt })).length;
  const files: readonly (readonly [string, number])[] = [
    ['forced decodes (`probes.csv`)', probes.length],
    ['pairs of cosines (`similarity.csv`)', similarity.length],
    ['texts (`texts.jsonl`)', texts.length],
    ['judgements (`rubric.jsonl`)', rubric.length],
  ];
  return table(
    ['What', 'Number'],
    [
      ['prompts that make the limits', String(prompts.length - attacked)],
      ['prompts held out: rates and attacks', String(attacked)],
      ...files.map(([name, count]) => [name, String(count)]),
    ],
  );
}

/** Honest answers to the same prompts and seeds: how far classes lie apart. */
function arithmeticsTable(probes: readonly ProbeRow[]): string {
  const readings = [
    { what: 'the same class', population: 'honest', checker: 'exact' },
    { what: 'same weights, flash attention on', population: 'honest', checker: 'flash' },
    { what: 'same weights, as float32', population: 'honest', checker: 'f32' },
    { what: 'other weights: q4_0', population: 'honest', checker: 'q4_0' },
  ];
  const agreement = (checker: string, isGreedy: boolean) => {
    const population = checker === 'q4_0' ? 'q4_0' : `honest-${checker}`;
    const rows = uniquePrompts(
      probes.filter((row) => row.population === population && (row.temperature === 0) === isGreedy),
    );
    const same = rows.filter(({ same }) => same === 1).length;
    return rows.length === 0 ? '–' : `${same} of ${rows.length}`;
  };
  return table(
    [
      'Checker',
      'same text, greedy',
      'same text, T 0.8',
      'greedy: mean gap, median / largest',
      'greedy: largest gap, median / largest',
      'T 0.8, seed pinned: mean distance, median / largest',
    ],
    readings.map(({ what, population, checker }) => {
      const rows = probes.filter((row) => row.population === population && row.checker === checker);
      const [greedy, sampled] = [rows.filter((r) => r.temperature === 0), rows.filter((r) => r.temperature > 0)];
      const both = (values: readonly number[]) => `${figure(median(values))} / ${figure(Math.max(...values))}`;
      return [
        what,
        checker === 'exact' ? 'all (`docs/exactness.md`)' : agreement(checker, true),
        checker === 'exact' ? 'all (`docs/exactness.md`)' : agreement(checker, false),
        both(numbers(greedy, 'meanGap')),
        both(numbers(greedy, 'largestGap')),
        both(numbers(sampled, 'meanDistance')),
      ];
    }),
  );
}

function uniquePrompts<Row extends { readonly prompt: number }>(rows: readonly Row[]): readonly Row[] {
  return [...new Map(rows.map((row) => [row.prompt, row])).values()];
}

const STATISTICS = [
  { form: 'greedy', name: 'meanGap', column: 'meanGap', what: 'greedy: mean clipped gap, nats' },
  { form: 'greedy', name: 'largestGap', column: 'largestGap', what: 'greedy: largest gap, nats' },
  {
    form: 'greedy',
    name: 'outside',
    column: 'outside',
    what: `greedy: share outside the ${PROBE_CANDIDATES} likeliest`,
  },
  { form: 'seeded', name: 'meanDistance', column: 'meanDistance', what: 'seed pinned: mean distance of draws' },
  { form: 'seeded', name: 'strayed', column: 'strayed', what: 'seed pinned: share of draws further than 0.1' },
  { form: 'sampled', name: 'z', column: 'z', what: 'seed unknown: size of z' },
  { form: 'sampled', name: 'largestSurprise', column: 'largestSurprise', what: 'seed unknown: largest surprise' },
  { form: 'sampled', name: 'outside', column: 'undrawable', what: 'seed unknown: share outside the nucleus' },
] as const;
type Form = (typeof STATISTICS)[number]['form'];

function limitOf(limits: Limits, pair: Pair, { form, name }: (typeof STATISTICS)[number]): number {
  const all: Readonly<Record<string, unknown>> = { ...limits[pair][form] };
  const limit = all[name];
  return typeof limit === 'number' ? limit : Number.NaN;
}

function limitsTable(probes: readonly ProbeRow[], limits: Limits): string {
  const pairs = ['statistical', 'crossClass'] as const;
  return table(
    ['Statistic', ...['same weights', 'other weights'].map((pair) => `${pair}: 99 % / largest / limit`)],
    STATISTICS.map((statistic) => [
      statistic.what,
      ...pairs.map((pair) => {
        const honest = honestReadings(probes, pair).filter(
          (row) => !isHeldOut(row) && (row.temperature === 0) === (statistic.form === 'greedy'),
        );
        const values = numbers(honest, statistic.column).map(Math.abs);
        const limit = limitOf(limits, pair, statistic);
        return `${figure(quantile(values, 0.99))} / ${figure(Math.max(...values))} / **${limit}** (n ${values.length})`;
      }),
    ]),
  );
}

/** Whether the reading is above one of the limits of these forms. */
function fails(row: ProbeRow, limits: Limits, pair: Pair, forms: readonly Form[]): boolean {
  return STATISTICS.filter(({ form }) => forms.includes(form)).some((statistic) => {
    const value = row[statistic.column];
    return typeof value === 'number' && Math.abs(value) > limitOf(limits, pair, statistic);
  });
}

/** What is known of an answer, and the forms of statistics that can be had then. */
const CASES: readonly { readonly what: string; readonly forms: readonly Form[]; readonly isGreedy: boolean }[] = [
  { what: 'greedy', forms: ['greedy'], isGreedy: true },
  { what: 'T 0.8, seed pinned', forms: ['seeded', 'sampled'], isGreedy: false },
  { what: 'T 0.8, seed unknown', forms: ['sampled'], isGreedy: false },
];

/** A prompt fails when any of its honest readings does: readings of one prompt are near copies, so prompts are what is counted. */
function honestFailures(
  probes: readonly ProbeRow[],
  limits: Limits,
  pair: Pair,
  { forms, isGreedy }: (typeof CASES)[number],
) {
  const held = honestReadings(probes, pair).filter((row) => isHeldOut(row) && (row.temperature === 0) === isGreedy);
  const failing = new Set(held.filter((row) => fails(row, limits, pair, forms)).map(({ prompt }) => prompt));
  return { hits: failing.size, trials: new Set(held.map(({ prompt }) => prompt)).size };
}

function ratesTable(probes: readonly ProbeRow[], limits: Limits, pair: Pair): string {
  // The reading that is furthest from the honest tab's arithmetic stands for the pair.
  const checker = CHECKERS[pair].at(-1) ?? '';
  const attacks = probes.filter((row) => row.checker === checker);
  const honest = CASES.map((each) => honestFailures(probes, limits, pair, each));
  const honestRow = honest.map(({ hits, trials }) => rate(hits, trials));
  const rows = populationsOf(attacks).map((population) => [
    population,
    ...CASES.map(({ forms, isGreedy }, i) => {
      const all = attacks.filter((row) => row.population === population && (row.temperature === 0) === isGreedy);
      const different = all.filter(({ same }) => same === 0);
      if (all.length === 0) return '–';
      const hits = different.filter((row) => fails(row, limits, pair, forms)).length;
      const base = honest[i] ?? { hits: 0, trials: 0 };
      const apart = !overlap(proportionInterval(hits, different.length), proportionInterval(base.hits, base.trials));
      const copies = all.length - different.length;
      const note = copies === 0 ? '' : `; ${copies} more wrote the honest text`;
      return `${rate(hits, different.length)}${note}${apart ? '' : ` – *${NOT_TOLD_APART}*`}`;
    }),
  ]);
  return table(['Answers', ...CASES.map(({ what }) => what)], [['**honest**, held out', ...honestRow], ...rows]);
}

function guessesTable(probes: readonly ProbeRow[]): string {
  const of = (rows: readonly ProbeRow[]) => {
    const cuts = rows.reduce((sum, row) => sum + row.cuts, 0);
    return { cuts, first: sum(rows, 'first'), among: sum(rows, 'among') };
  };
  const read = (population: string, checker: string, isGreedy: boolean) =>
    of(
      probes.filter(
        (row) =>
          row.population === population &&
          row.checker === checker &&
          isHeldOut(row) &&
          (row.temperature === 0) === isGreedy &&
          (population === 'honest' || row.same === 0),
      ),
    );
  const lines: readonly (readonly [string, string, string])[] = [
    ['**honest**, same weights', 'honest', 'f32'],
    ['honest, other weights (q4_0 checks)', 'honest', 'q4_0'],
    ...populationsOf(probes.filter(({ checker }) => checker === 'f32')).map(
      (population) => [population, population, 'f32'] as const,
    ),
  ];
  return table(
    ['Answers', 'greedy: first guess', 'T 0.8: first guess', 'T 0.8: one of three'],
    lines.map(([what, population, checker]) => {
      const [greedy, sampled] = [read(population, checker, true), read(population, checker, false)];
      return [
        what,
        rate(greedy.first, greedy.cuts),
        rate(sampled.first, sampled.cuts),
        rate(sampled.among, sampled.cuts),
      ];
    }),
  );
}

function sum(rows: readonly ProbeRow[], column: 'first' | 'among'): number {
  return rows.reduce((total, row) => total + row[column], 0);
}

function similarityTable(rows: readonly SimilarityRow[]): string {
  const columns = ['own64', 'ownMiniLm'] as const;
  const values = (population: string, column: (typeof columns)[number]) =>
    rows
      .filter((row) => row.population === population && (population === 'honest' || row.same === 0))
      .map((row) => row[column])
      .filter((value) => value !== null);
  const cells = (population: string, column: (typeof columns)[number]) => {
    const [honest, attack] = [values('honest', column), values(population, column)];
    const area = areaUnderCurve(honest, attack);
    if (area === null) return ['–', '–'];
    const blind = area.interval.low <= 0.5 && area.interval.high >= 0.5;
    const inverted = area.interval.high < 0.5;
    const judged = inverted ? ' – *looks better than honest*' : blind ? ` – *${NOT_TOLD_APART}*` : '';
    return [figure(median(attack)), `${interval(area.area, area.interval)}${judged}`];
  };
  const honest = columns.flatMap((column) => [figure(median(values('honest', column))), '']);
  return table(
    ['Answers', 'n', 'shoal-embed-64: median', 'AUC', 'all-MiniLM-L6-v2: median', 'AUC'],
    [
      ['**honest**', String(values('honest', 'own64').length), ...honest],
      ...populationsOf(rows).map((population) => [
        population,
        String(values(population, 'own64').length),
        ...columns.flatMap((column) => cells(population, column)),
      ]),
    ],
  );
}

function interval(value: number, { low, high }: Interval): string {
  return `${value.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
}

function signsTable(
  texts: readonly TextRow[],
  limits: Limits,
  embed: (text: string) => Float32Array,
  prompts: readonly string[],
): string {
  const held = texts.filter(isHeldOut);
  const found = held.map(({ population, prompt, text, finish }) => {
    const asked = prompts[prompt] ?? '';
    const relatedness = cosine(embed(asked), embed(text));
    const signs = semanticSigns({ prompt: asked, answer: text, finish, relatedness }, limits.signs);
    return { population, signs: signs.map(({ sign }) => sign) };
  });
  const signs = SEMANTIC_SIGNS.filter((sign) => found.some((row) => row.signs.includes(sign)));
  const line = (population: string) => {
    const rows = found.filter((row) => row.population === population);
    const count = (isShown: (row: (typeof rows)[number]) => boolean) => rows.filter(isShown).length;
    return [
      population === 'honest' ? '**honest**, held out' : population,
      ...signs.map((sign) => String(count((row) => row.signs.includes(sign)))),
      rate(
        count((row) => row.signs.length > 0),
        rows.length,
      ),
    ];
  };
  return table(['Answers', ...signs, 'any sign'], ['honest', ...populationsOf(held)].map(line));
}

function rubricTable({ rubric }: Collection): string {
  const cell = (area: Area | null) => {
    if (area === null) return '–';
    const isBlind = area.interval.low <= 0.5;
    return `${interval(area.area, area.interval)}${isBlind ? ' – *no better than a coin*' : ''}`;
  };
  const rows = judgesOf(rubric).map((judge) => {
    const examples = judgedExamples(rubric, judge);
    const count = (isGood: boolean) => examples.filter((example) => example.isGood === isGood).length;
    return [
      judge,
      `${count(true)} / ${count(false)}`,
      ...RUBRIC_QUESTIONS.map((_, question) => cell(areaOfQuestion(examples, question))),
      cell(areaOfScore(examples)),
    ];
  });
  return table(
    ['Judge', 'good / bad', ...RUBRIC_QUESTIONS.map(({ name }) => `AUC of "${name}"`), 'AUC of the score'],
    rows,
  );
}
