// What is said about every run: over no limit, by the judge, refused requests included. With careless pods the same must be
// over, or the run proves nothing.

import type { RulesInput } from '../../../src/simulator/index.ts';
import type { Careless, LimitArena, TokenLimit } from './arena.ts';
import type { LimitEvidence } from './evidence.ts';
import { type Arrival, measureUse, toMs } from './upstream-process.ts';

/** `careless`: what the pods of this run forgot; then it must be over. */
export async function proveNeverOver(
  { upstream }: LimitArena,
  evidence: LimitEvidence,
  careless: readonly Careless[] = [],
): Promise<void> {
  const { over, refused, most } = await count(upstream);
  evidence.over = over;
  if (careless.length > 0) {
    evidence.promise(
      over > 0,
      `twin: with pods that are ${careless.join(' and ')} ${over} arrivals were over (${most})`,
    );
    return;
  }
  evidence.prove(over === 0, `no arrival was over (${most}), ${over} convictions`);
  evidence.prove(refused === 0, `the upstream refused none: ${refused} answers of 429`);
}

export async function count({ verdict }: LimitArena['upstream'], rules?: RulesInput) {
  const { counts, summary } = await verdict(rules);
  const most = [
    `most at once ${summary.maxConcurrent}`,
    ...summary.intervals.map(({ terms, max }) => `${max} against ${terms}`),
  ];
  return {
    over: (counts.concurrent ?? 0) + (counts.rate ?? 0) + (counts.record ?? 0),
    refused: summary.byStatus['429'] ?? 0,
    most: most.join(', '),
  };
}

/** The most tokens in any interval, wherever between arrival and end the upstream books a request: it counts from one to the other. */
export function mostTokens(arrivals: readonly Arrival[], { per }: TokenLimit): number {
  const perMs = toMs(per);
  const countedAt = (at: number) =>
    arrivals.reduce((sum, one) => (one.at <= at && one.endedAt > at - perMs ? sum + one.tokens : sum), 0);
  return Math.max(0, ...arrivals.map(({ at }) => countedAt(at)));
}

/** As `proveNeverOver`, of the tokens that the upstream recorded. */
export async function proveTokensNeverOver(
  { terms, arrivals }: LimitArena,
  evidence: LimitEvidence,
  careless: readonly Careless[] = [],
): Promise<void> {
  if (!terms.tokens) throw new Error('expected a run with a limit of tokens');
  const { tokens, per } = terms.tokens;
  const most = mostTokens(await arrivals(), terms.tokens);
  evidence.over = Math.max(0, most - tokens);
  const said = `${most} tokens against ${tokens} in ${per}`;
  if (careless.length > 0)
    evidence.promise(most > tokens, `twin: with pods that are ${careless.join(' and ')}: ${said}`);
  else evidence.prove(most <= tokens, `never over: at most ${said}`);
}

/** The share that was used of whichever limit binds, of those that such a span can show. */
export function goodput({ terms }: LimitArena, arrivals: readonly Arrival[], fromAt: number, untilAt: number): number {
  const shown = terms.limits.filter((limit) => !('per' in limit) || toMs(limit.per) <= untilAt - fromAt);
  return Math.max(...shown.map((limit) => measureUse(arrivals, limit, fromAt, untilAt)));
}

/** Every job was started once, and sent what it had to send once. */
export function proveNothingBurned(evidence: LimitEvidence, arrivals: readonly Arrival[]): void {
  const again = arrivals.filter(({ start }) => start > 1).length;
  const jobs = new Set(arrivals.map(({ job }) => job)).size;
  evidence.promise(
    again === 0 && jobs === arrivals.length,
    `no start was burned: ${arrivals.length} requests of ${jobs} jobs`,
  );
}
