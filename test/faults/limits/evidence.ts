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
  /** Claims beyond "never over" that this driver is not held to, and does not keep. */
  readonly shortcomings: string[];
  /** As `prove`, for all that is not safety: our own driver must keep it, of another the table tells whether it does. */
  promise(holds: boolean, claim: string): void;
}

export function createLimitEvidence(fault: string, driver: string, seed: number): LimitEvidence {
  const evidence = createEvidence(fault, seed);
  const shortcomings: string[] = [];
  return Object.assign(evidence, {
    driver,
    requests: 0,
    over: 0,
    refused: 0,
    goodput: null,
    figures: [],
    shortcomings,
    promise(holds: boolean, claim: string) {
      if (holds || driver === 'scripts') evidence.prove(holds, claim);
      else shortcomings.push(claim);
    },
  });
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
  const claims = all.flatMap(({ fault, driver, proven, problems, shortcomings }) => [
    `\n${fault} (${driver})`,
    ...proven.map((claim) => `  holds: ${claim}`),
    ...shortcomings.map((claim) => `  falls short: ${claim}`),
    ...problems.map((claim) => `  FAILS: ${claim}`),
  ]);
  return ['', ...lines, ...claims, ''].join('\n');
}

function toRow(evidence: LimitEvidence): string[] {
  const { fault, driver, requests, over, refused, goodput, tookMs, figures } = evidence;
  return [
    fault,
    driver,
    String(requests),
    String(over),
    String(refused),
    goodput === null ? '-' : goodput.toFixed(3),
    `${(tookMs / 1_000).toFixed(1)} s`,
    toResult(evidence),
    figures.join(', '),
  ];
}

function toResult({ problems, shortcomings }: LimitEvidence): string {
  if (problems.length > 0) return `${problems.length} FAILED`;
  return shortcomings.length > 0 ? 'falls short' : 'ok';
}
