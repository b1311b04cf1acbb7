// What one run against a limit has to show, and the table of all.

import { createEvidence, type Evidence } from '../evidence.ts';

export interface LimitEvidence extends Evidence {
  /** Which driver kept the limits. */
  readonly driver: string;
  requests: number;
  /** Arrivals over a limit, by the judge. */
  over: number;
  /** Answered 429. */
  refused: number;
  /** Share of the allowance that was used while work waited; null where the run does not measure it. */
  goodput: number | null;
  /** What else it measured, for the table. */
  readonly figures: string[];
}

export function createLimitEvidence(fault: string, driver: string, seed: number): LimitEvidence {
  const evidence = createEvidence(fault, seed);
  return Object.assign(evidence, { driver, requests: 0, over: 0, refused: 0, goodput: null, figures: [] });
}

const HEAD = ['run', 'driver', 'requests', 'over', '429', 'goodput', 'took', 'result', 'figures'];

export function toLimitTable(all: readonly LimitEvidence[]): string {
  const rows = [HEAD, ...all.map(toRow)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const claims = all.flatMap(({ fault, driver, proven, problems }) => [
    `\n${fault} (${driver})`,
    ...proven.map((claim) => `  holds: ${claim}`),
    ...problems.map((claim) => `  FAILS: ${claim}`),
  ]);
  return ['', ...lines, ...claims, ''].join('\n');
}

function toRow({
  fault,
  driver,
  requests,
  over,
  refused,
  goodput,
  tookMs,
  problems,
  figures,
}: LimitEvidence): string[] {
  return [
    fault,
    driver,
    String(requests),
    String(over),
    String(refused),
    goodput === null ? '-' : goodput.toFixed(3),
    `${(tookMs / 1_000).toFixed(1)} s`,
    problems.length === 0 ? 'ok' : `${problems.length} FAILED`,
    figures.join(', '),
  ];
}
