// Draws what agents do over time: a row for each, one panel above the other on one scale. Pale is the cooldown; on it lie the
// windows that stand open, the acts, and those that were refused.

export interface Bar {
  row: number;
  fromMs: number;
  untilMs: number;
}

export interface GanttPanel {
  title: string;
  acts: readonly Bar[];
  open: readonly Bar[];
  refused: readonly Bar[];
}

const WIDTH = 1_000;
const ROW = 16;
const LEFT = 50;
const RIGHT = 20;
const TOP = 44;
const GAP = 72;
const COLOURS = { cooldown: '#eef1f4', open: '#f4b942', acts: '#2b7a78', refused: '#d1495b' };
const LEGEND = { acts: 'an act', open: 'a window that stands open', refused: 'a refused act', cooldown: 'cooldown' };

export function drawGantt(panels: readonly GanttPanel[], agents: readonly string[], spanMs: number): string {
  const panelHeight = agents.length * ROW;
  const height = TOP + panels.length * (panelHeight + GAP);
  const drawn = panels.map((panel, index) => drawPanel(panel, agents, spanMs, TOP + index * (panelHeight + GAP)));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${LEFT + WIDTH + RIGHT} ${height}" font-family="sans-serif">
<title>${agents.length} agents with a cooldown over ${spanMs / 1_000} s: acts, open windows and refused acts</title>
<rect width="100%" height="100%" fill="white"/>
${drawn.join('\n')}
${drawLegend(height - 12)}
</svg>
`;
}

function drawPanel(panel: GanttPanel, agents: readonly string[], spanMs: number, top: number): string {
  const base = top + agents.length * ROW;
  const toX = (ms: number) => LEFT + (ms / spanMs) * WIDTH;
  const rows = agents.map((_, row) => ({ row, fromMs: 0, untilMs: spanMs }));
  const seconds = Array.from({ length: Math.floor(spanMs / 1_000) + 1 }, (_, second) => second);
  return [
    text(LEFT, top - 12, panel.title, 14),
    drawBars(rows, toX, top, COLOURS.cooldown),
    drawBars(panel.open, toX, top, COLOURS.open),
    drawBars(panel.acts, toX, top, COLOURS.acts),
    drawBars(panel.refused, toX, top, COLOURS.refused),
    ...agents.map((agent, row) => text(LEFT - 8, top + row * ROW + ROW - 4, agent, 11, 'end')),
    `<line x1="${LEFT}" y1="${base}" x2="${LEFT + WIDTH}" y2="${base}" stroke="#444"/>`,
    ...seconds.map((second) => text(toX(second * 1_000), base + 16, `${second} s`, 11, 'middle')),
  ].join('\n');
}

/** One path for all of a colour: a thousand elements would be slow to draw and long to read. */
function drawBars(bars: readonly Bar[], toX: (ms: number) => number, top: number, fill: string): string {
  const shapes = bars.map(({ row, fromMs, untilMs }) => {
    const width = Math.max(0.8, toX(untilMs) - toX(fromMs)).toFixed(1);
    return `M${toX(fromMs).toFixed(1)} ${top + row * ROW + 2}h${width}v${ROW - 4}h-${width}z`;
  });
  return shapes.length === 0 ? '' : `<path fill="${fill}" d="${shapes.join('')}"/>`;
}

function drawLegend(y: number): string {
  return Object.entries(LEGEND)
    .map(([kind, said], index) => {
      const x = LEFT + index * 200;
      const box = `<rect x="${x}" y="${y - 10}" width="12" height="12" fill="${COLOURS[kind as keyof typeof COLOURS]}"/>`;
      return `${box}${text(x + 18, y, said, 12)}`;
    })
    .join('\n');
}

function text(x: number, y: number, content: string, size: number, anchor = 'start'): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" text-anchor="${anchor}">${content}</text>`;
}
