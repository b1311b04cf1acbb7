// What one fault's run has to show: counts for the table, what was proven, and what did not hold. A run that throws halfway
// still hands in what it has.

import type { Account } from './harness/account.ts';

export interface Evidence {
  readonly fault: string;
  readonly seed: number;
  account: Account | undefined;
  accepted: number;
  /** From the fault to the last job that ran again because of it; null when none had to. */
  longestRerunMs: number | null;
  readonly proven: string[];
  readonly problems: string[];
  tookMs: number;
  /** Notes the claim where it belongs. */
  prove(holds: boolean, claim: string): void;
}

export function createEvidence(fault: string, seed: number): Evidence {
  const proven: string[] = [];
  const problems: string[] = [];
  return {
    fault,
    seed,
    account: undefined,
    accepted: 0,
    longestRerunMs: null,
    proven,
    problems,
    tookMs: 0,
    prove(holds, claim) {
      (holds ? proven : problems).push(claim);
    },
  };
}

/** What must hold after every fault. */
export function proveAccount(evidence: Evidence, account: Account): void {
  const some = (ids: string[]) => (ids.length === 0 ? '' : `: ${ids.slice(0, 5).join(' ')}`);
  const none = (what: string, ids: string[]) => {
    if (ids.length > 0) evidence.problems.push(`expected no job ${what}, got ${ids.length}${some(ids)}`);
  };
  evidence.account = account;
  none('lost', account.lost);
  none('unfinished', account.unfinished);
  none('of an add that was never made', account.unexpected);
  none('settled twice', account.settledTwice);
  none('with an effect twice at the upstream that honours keys', account.effectsTwice.guarded);
}

const HEAD = [
  'fault',
  'seed',
  'accepted',
  'recovered',
  'done',
  'dead',
  'ran 2x',
  'effect 2x bare/keys',
  'settled 2x',
  'lost',
  'longest re-run',
  'took',
  'result',
];

/** One table, then under it each fault's claims. */
export function toTable(all: readonly Evidence[]): string {
  const rows = [HEAD, ...all.map(toRow)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const claims = all.flatMap(({ fault, proven, problems }) => [
    `\n${fault}`,
    ...proven.map((claim) => `  holds: ${claim}`),
    ...problems.map((claim) => `  FAILS: ${claim}`),
  ]);
  const note = 'recovered: adds that were refused, with Redis away, and turned up all the same';
  return ['', ...lines, note, ...claims, ''].join('\n');
}

function toRow({ fault, seed, account, accepted, longestRerunMs, problems, tookMs }: Evidence): string[] {
  const count = (ids: { length: number } | undefined) => (ids ? String(ids.length) : '?');
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
  return [
    fault,
    String(seed),
    String(accepted),
    account ? String(account.recovered) : '?',
    account ? String(account.done.size) : '?',
    account ? String(account.dead.size) : '?',
    count(account?.ranTwice),
    `${count(account?.effectsTwice.bare)} / ${count(account?.effectsTwice.guarded)}`,
    count(account?.settledTwice),
    count(account?.lost),
    longestRerunMs === null ? '-' : seconds(longestRerunMs),
    seconds(tookMs),
    problems.length === 0 ? 'ok' : `${problems.length} FAILED`,
  ];
}
