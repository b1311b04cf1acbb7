// What one run with agents has to show, and the table of all.

import { createEvidence, type Evidence } from '../evidence.ts';

export interface AgentEvidence extends Evidence {
  acts: number;
  /** Acts before their agent's window, by the judge. */
  early: number;
  /** What else it measured, for the table. */
  readonly figures: string[];
}

export function createAgentEvidence(fault: string, seed: number): AgentEvidence {
  return Object.assign(createEvidence(fault, seed), { acts: 0, early: 0, figures: [] });
}

const HEAD = ['run', 'jobs', 'acts', 'early', 'took', 'result', 'figures'];

export function toAgentTable(all: readonly AgentEvidence[]): string {
  const rows = [HEAD, ...all.map(toRow)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const claims = all.flatMap(({ fault, proven, problems }) => [
    `\n${fault}`,
    ...proven.map((claim) => `  holds: ${claim}`),
    ...problems.map((claim) => `  FAILS: ${claim}`),
  ]);
  return ['', ...lines, ...claims, ''].join('\n');
}

function toRow({ fault, accepted, acts, early, tookMs, problems, figures }: AgentEvidence): string[] {
  const result = problems.length === 0 ? 'ok' : `${problems.length} FAILED`;
  const took = `${(tookMs / 1_000).toFixed(1)} s`;
  return [fault, String(accepted), String(acts), String(early), took, result, figures.join(', ')];
}
