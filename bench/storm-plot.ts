// Draws requests over time as bars, one panel above the other on one scale: accepted below, refused on top of them.

export interface Panel {
  title: string;
  requests: { atMs: number; isRefused: boolean }[];
  done: number;
}

const WIDTH = 900;
const HEIGHT = 200;
const LEFT = 60;
const TOP = 40;
const GAP = 70;
const BAR_MS = 250;
const COLOURS = { accepted: '#2b7a78', refused: '#d1495b' };

export function plotRequests(title: string, panels: readonly Panel[]): string {
  const lastMs = Math.max(...panels.flatMap(({ requests }) => requests.map(({ atMs }) => atMs)), BAR_MS);
  const bars = Math.ceil((lastMs + 1) / BAR_MS);
  const counts = panels.map(({ requests }) => countBars(requests, bars));
  const most = Math.max(...counts.flat().map(({ accepted, refused }) => accepted + refused), 1);
  const step = WIDTH / bars;
  const toY = (count: number) => (count / most) * HEIGHT;

  const drawn = panels.map(({ title: of, requests, done }, index) => {
    const base = TOP + HEIGHT + index * (HEIGHT + GAP);
    const refused = requests.filter(({ isRefused }) => isRefused).length;
    const rects = (counts[index] ?? []).flatMap((bar, at) => [
      rect(at * step, base - toY(bar.accepted), step, toY(bar.accepted), COLOURS.accepted),
      rect(at * step, base - toY(bar.accepted + bar.refused), step, toY(bar.refused), COLOURS.refused),
    ]);
    const said = `${of}: ${requests.length} requests, ${refused} refused, ${done} jobs done`;
    return [
      text(LEFT, base - HEIGHT - 12, said, 14),
      ...rects,
      `<line x1="${LEFT}" y1="${base}" x2="${LEFT + WIDTH}" y2="${base}" stroke="#444"/>`,
      text(LEFT - 8, base, '0', 11, 'end'),
      text(LEFT - 8, base - HEIGHT + 10, String(most), 11, 'end'),
      ...ticks(lastMs, bars * BAR_MS).map((ms) =>
        text(LEFT + (ms / (bars * BAR_MS)) * WIDTH, base + 16, `${ms / 1_000} s`, 11, 'middle'),
      ),
    ].join('\n');
  });

  const height = TOP + panels.length * (HEIGHT + GAP);
  const legend = text(LEFT, height - 8, `requests in each ${BAR_MS} ms; green: accepted, red: refused with 429`, 12);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${LEFT + WIDTH + 20} ${height}" font-family="sans-serif">
<title>${title}</title>
<rect width="100%" height="100%" fill="white"/>
${drawn.join('\n')}
${legend}
</svg>
`;
}

function countBars(requests: Panel['requests'], bars: number): { accepted: number; refused: number }[] {
  const counts = Array.from({ length: bars }, () => ({ accepted: 0, refused: 0 }));
  for (const { atMs, isRefused } of requests) {
    const bar = counts[Math.floor(atMs / BAR_MS)];
    if (bar && isRefused) bar.refused++;
    else if (bar) bar.accepted++;
  }
  return counts;
}

function ticks(lastMs: number, spanMs: number): number[] {
  const everyMs = [500, 1_000, 2_000, 5_000, 10_000, 20_000].find((ms) => lastMs / ms <= 10) ?? 60_000;
  return Array.from({ length: Math.floor(spanMs / everyMs) + 1 }, (_, n) => n * everyMs);
}

function rect(x: number, y: number, width: number, height: number, fill: string): string {
  if (height <= 0) return '';
  const at = `x="${(LEFT + x).toFixed(1)}" y="${y.toFixed(1)}"`;
  return `<rect ${at} width="${Math.max(0.5, width - 0.5).toFixed(1)}" height="${height.toFixed(1)}" fill="${fill}"/>`;
}

function text(x: number, y: number, content: string, size: number, anchor = 'start'): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" text-anchor="${anchor}">${content}</text>`;
}
