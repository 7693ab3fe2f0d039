import type { Hour, TrustOutcome } from './trust-figures.ts';
import type { KindSummary, TrustSummary } from './trust-summary.ts';

const WIDTH = 860;
const LABEL_WIDTH = 150;
const BAR_WIDTH = 560;
const ROW_HEIGHT = 26;
const DAY_TOP_GAP = 70;
const DAY_HEIGHT = 180;
const HOUR_MS = 60 * 60 * 1000;

/** Readable on light and dark ground: colours follow the reader's scheme, and every figure is also written out. */
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2933; }
  .small { font-size: 11px; fill: #52606d; }
  .title { font-size: 15px; font-weight: 600; }
  .compute { fill: #2474b5; } .hour { fill: #8fb8de; } .users { fill: #b8c4ce; } .network { fill: #2474b5; }
  .line { stroke: #1f2933; stroke-width: 1; stroke-dasharray: 4 3; } .axis { stroke: #9aa5b1; stroke-width: 1; }
  .bad { fill: none; stroke: #c2410c; stroke-width: 2; } .badText { fill: #c2410c; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e7eb; } .small { fill: #a7b3bf; } .line { stroke: #e4e7eb; }
    .compute, .network { fill: #5aa9e6; } .hour { fill: #31587a; } .users { fill: #52606d; }
    .bad { stroke: #fb923c; } .badText { fill: #fb923c; }
  }`;

/** The run as a picture: what each kind earns, and hour by hour who works for whom. */
export function trustChart(summary: TrustSummary, outcome: TrustOutcome, caption: string): string {
  const earning = summary.kinds.filter(({ kind }) => kind !== 'honest');
  const barsTop = 80;
  const barsHeight = earning.length * ROW_HEIGHT;
  const dayTop = barsTop + barsHeight + DAY_TOP_GAP;
  const height = dayTop + DAY_HEIGHT + 60;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title desc">
<title id="title">Does cheating pay?</title>
<desc id="desc">${escaped(descriptionOf(earning, summary))}</desc>
<style>${STYLE}</style>
<text class="title" x="12" y="24">What each kind of tab earns, honest tabs = 100 %</text>
<text class="small" x="12" y="42">${escaped(caption)}</text>
<rect class="compute" x="12" y="52" width="12" height="12"/><text class="small" x="30" y="62">per token computed</text>
<rect class="hour" x="160" y="52" width="12" height="12"/><text class="small" x="178" y="62">per hour lent</text>
${earning.map((kind, row) => bars(kind, barsTop + row * ROW_HEIGHT)).join('\n')}
<line class="line" x1="${LABEL_WIDTH + BAR_WIDTH}" x2="${LABEL_WIDTH + BAR_WIDTH}" y1="${barsTop - 6}" y2="${barsTop + barsHeight}"/>
${day(outcome, dayTop)}
</svg>
`;
}

function bars({ kind, perCompute, perHour }: KindSummary, y: number): string {
  const width = (share: number) => (Math.min(1.2, share) * BAR_WIDTH).toFixed(1);
  const label = `${(100 * perCompute).toFixed(0)} %, ${(100 * perHour).toFixed(0)} %`;
  return `<text x="12" y="${y + 14}">${kind}</text>
<rect class="compute" x="${LABEL_WIDTH}" y="${y}" width="${width(perCompute)}" height="10"/>
<rect class="hour" x="${LABEL_WIDTH}" y="${y + 10}" width="${width(perHour)}" height="8"/>
<text class="small" x="${LABEL_WIDTH + BAR_WIDTH + 46}" y="${y + 14}">${label}</text>`;
}

function day({ hours, capacity }: TrustOutcome, top: number): string {
  const bottom = top + DAY_HEIGHT;
  const step = (WIDTH - 84) / Math.max(1, hours.length);
  const most = Math.max(1, ...hours.map(({ bad }) => bad));
  const share = (tokens: number) => tokens / (capacity * HOUR_MS);
  const networkOf = ({ work }: Hour) => work.checks + work.askedChecks + work.networkTasks + work.requalifying;
  const scale = DAY_HEIGHT / Math.max(1, ...hours.map((hour) => share(hour.work.users + networkOf(hour))));
  const columns = hours.map((hour, i) => {
    const users = share(hour.work.users) * scale;
    const network = share(networkOf(hour)) * scale;
    const at = `x="${(12 + i * step).toFixed(1)}" width="${(step * 0.86).toFixed(1)}"`;
    return `<rect class="users" ${at} y="${(bottom - users).toFixed(1)}" height="${users.toFixed(1)}"/>
<rect class="network" ${at} y="${(bottom - users - network).toFixed(1)}" height="${network.toFixed(1)}"/>`;
  });
  const bad = hours.map(
    ({ bad: count }, i) =>
      `${(12 + (i + 0.43) * step).toFixed(1)},${(bottom - (count / most) * DAY_HEIGHT * 0.9).toFixed(1)}`,
  );
  const ticks = hours.flatMap((_, i) =>
    i % 6 === 0 ? [`<text class="small" x="${(12 + i * step).toFixed(1)}" y="${bottom + 16}">${i} h</text>`] : [],
  );
  return `<text class="title" x="12" y="${top - 36}">Hour by hour: checks fill what users leave idle</text>
<rect class="users" x="12" y="${top - 24}" width="12" height="12"/><text class="small" x="30" y="${top - 14}">work for users</text>
<rect class="network" x="130" y="${top - 24}" width="12" height="12"/><text class="small" x="148" y="${top - 14}">checks and tasks of the network</text>
<text class="small badText" x="350" y="${top - 14}">— false answers given to users, at most ${most} an hour</text>
${columns.join('\n')}
<polyline class="bad" points="${bad.join(' ')}"/>
<line class="axis" x1="12" x2="${WIDTH - 72}" y1="${bottom}" y2="${bottom}"/>
${ticks.join('\n')}`;
}

function descriptionOf(kinds: readonly KindSummary[], { bestAttack }: TrustSummary): string {
  const each = kinds.map(
    ({ kind, perCompute, perHour }) =>
      `${kind} ${(100 * perCompute).toFixed(0)} % per token computed and ${(100 * perHour).toFixed(0)} % per hour`,
  );
  return `Earnings relative to honest tabs: ${each.join('; ')}. The best attack earns ${(100 * bestAttack).toFixed(0)} %. Below, bars for each hour: work for users, on top of it checks and tasks of the network, and a line of false answers given to users.`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
