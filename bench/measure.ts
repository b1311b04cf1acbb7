// How figures are made from repeats: who runs when, and what is said about the results. A figure is only ever compared with
// one of the same round, taken seconds before or after it, because a shared machine drifts by more than what we look for.

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Linear between neighbours. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

/** Median, and in brackets the least and the most. */
export function withSpread(values: readonly number[], digits = 0): string {
  const show = (value: number) => value.toLocaleString('en-US', { maximumFractionDigits: digits });
  return `${show(median(values))} (${show(Math.min(...values))}-${show(Math.max(...values))})`;
}

/** `ours` over `base`, round by round. */
export function ratios(ours: readonly number[], base: readonly number[]): number[] {
  return ours.map((value, round) => value / (base[round] as number));
}

export function ratioWithSpread(ours: readonly number[], base: readonly number[]): string {
  return withSpread(ratios(ours, base), 2);
}

/** A B C, C B A, A B C, …: what warms up or wears off over a round favours nobody. Results by variant, in round order. */
export async function interleave<V extends string, R>(
  variants: readonly V[],
  rounds: number,
  run: (variant: V, round: number) => Promise<R>,
): Promise<Record<V, R[]>> {
  const results = Object.fromEntries(variants.map((variant) => [variant, [] as R[]])) as Record<V, R[]>;
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? variants : [...variants].reverse();
    for (const variant of order) results[variant].push(await run(variant, round));
  }
  return results;
}
