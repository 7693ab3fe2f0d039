import type { Figures } from './figures-of.ts';

const WIDTH = 860;
const LABEL_WIDTH = 190;
const BAR_WIDTH = 500;
const ROW_HEIGHT = 24;
const GROUP_GAP = 44;
const TOP = 84;

/** Readable on light and dark ground: colours follow the reader's scheme, and every figure is also written out. */
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2933; }
  .small { font-size: 11px; fill: #52606d; }
  .title { font-size: 15px; font-weight: 600; }
  .own { fill: #2474b5; } .other { fill: #b8c4ce; } .median { stroke: #1f2933; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e7eb; } .small { fill: #a7b3bf; } .own { fill: #5aa9e6; } .other { fill: #52606d; } .median { stroke: #e4e7eb; }
  }`;

/** The wait for the first token by scheduler and load: bars to the 99th percentile, a mark at the median, on a logarithmic scale. */
export function allocationChart(rows: readonly Figures[], caption: string): string {
  const loads = [...new Set(rows.map(({ load }) => load))];
  const longest = Math.max(1_000, ...rows.map(({ waitP99 }) => waitP99));
  const widthOf = (ms: number) => (BAR_WIDTH * Math.log10(1 + Math.max(0, ms) / 100)) / Math.log10(1 + longest / 100);
  let y = TOP;
  const parts = loads.flatMap((load) => {
    const title = `<text class="title" x="12" y="${y}">${Math.round(100 * load)} % load</text>`;
    y += 12;
    const bars = rows
      .filter((row) => row.load === load)
      .map((row) => {
        const bar = barOf(row, y, widthOf);
        y += ROW_HEIGHT;
        return bar;
      });
    y += GROUP_GAP;
    return [title, ...bars];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" role="img" aria-labelledby="title desc">
<title id="title">How long until the first token?</title>
<desc id="desc">${escaped(rows.map(sentenceOf).join(' '))}</desc>
<style>${STYLE}</style>
<text class="title" x="12" y="24">Wait for the first token: bar to the 99th percentile, mark at the median</text>
<text class="small" x="12" y="42">${escaped(caption)}; logarithmic scale</text>
${parts.join('\n')}
</svg>
`;
}

function barOf(row: Figures, y: number, widthOf: (ms: number) => number): string {
  const median = LABEL_WIDTH + widthOf(row.waitP50);
  const end = LABEL_WIDTH + widthOf(row.waitP99);
  return `<text x="12" y="${y + 13}">${escaped(row.scheduler)}</text>
<rect class="${row.scheduler === 'router' ? 'own' : 'other'}" x="${LABEL_WIDTH}" y="${y}" width="${(end - LABEL_WIDTH).toFixed(1)}" height="16"/>
<line class="median" x1="${median.toFixed(1)}" x2="${median.toFixed(1)}" y1="${y}" y2="${y + 16}"/>
<text class="small" x="${(end + 6).toFixed(1)}" y="${y + 12}">${seconds(row.waitP50)}, ${seconds(row.waitP99)}</text>`;
}

function sentenceOf({ scheduler, load, waitP50, waitP99 }: Figures): string {
  return `${scheduler} at ${Math.round(100 * load)} %: ${seconds(waitP50)} on the median, ${seconds(waitP99)} at the 99th percentile.`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
