// Counters and histograms that cost an addition. prom-client sorts and hashes the labels at every call, 1 us each, and a job needs
// five; here the labels are looked up in nested maps, and the registry asks for the values when somebody scrapes.

import type { Metric, Registry } from 'prom-client';

export interface Meter {
  /** One more, for the values of up to three labels. */
  add(first: string, second?: string, third?: string): void;
  /** So many more, for the values of up to two. */
  addMany(count: number, first: string, second?: string): void;
}

export interface Distribution {
  observe(label: string, value: number): void;
}

interface Sample {
  labels: Record<string, string | number>;
  value: number;
  metricName?: string;
}

export function createMeter(registry: Registry, name: string, help: string, labelNames: readonly string[]): Meter {
  const counts = new Map<string, Map<string, Map<string, number>>>();
  register(registry, name, help, 'counter', labelNames, () => {
    const samples: Sample[] = [];
    for (const [first, seconds] of counts) {
      for (const [second, thirds] of seconds) {
        for (const [third, value] of thirds) {
          const given = [first, second, third];
          const labels = Object.fromEntries(labelNames.map((label, index) => [label, given[index] ?? '']));
          samples.push({ labels, value });
        }
      }
    }
    return samples;
  });
  function add(count: number, first: string, second: string, third: string): void {
    let seconds = counts.get(first);
    if (!seconds) {
      seconds = new Map();
      counts.set(first, seconds);
    }
    let thirds = seconds.get(second);
    if (!thirds) {
      thirds = new Map();
      seconds.set(second, thirds);
    }
    thirds.set(third, (thirds.get(third) ?? 0) + count);
  }

  return {
    add: (first, second = '', third = '') => add(1, first, second, third),
    addMany: (count, first, second = '') => add(count, first, second, ''),
  };
}

/** `bounds` ascending; a value counts in the first bucket that is not below it. */
export function createDistribution(
  registry: Registry,
  name: string,
  help: string,
  labelName: string,
  bounds: readonly number[],
): Distribution {
  const byLabel = new Map<string, { buckets: number[]; sum: number; count: number }>();
  register(registry, name, help, 'histogram', [labelName], () =>
    [...byLabel].flatMap(([label, state]) => toSamples(label, state)),
  );

  function toSamples(
    label: string,
    { buckets, sum, count }: { buckets: number[]; sum: number; count: number },
  ): Sample[] {
    let below = 0;
    const samples: Sample[] = bounds.map((le, index) => {
      below += buckets[index] ?? 0;
      return { labels: { le, [labelName]: label }, value: below, metricName: `${name}_bucket` };
    });
    return [
      ...samples,
      { labels: { le: '+Inf', [labelName]: label }, value: count, metricName: `${name}_bucket` },
      { labels: { [labelName]: label }, value: sum, metricName: `${name}_sum` },
      { labels: { [labelName]: label }, value: count, metricName: `${name}_count` },
    ];
  }

  return {
    observe(label, value) {
      let state = byLabel.get(label);
      if (!state) {
        state = { buckets: bounds.map(() => 0), sum: 0, count: 0 };
        byLabel.set(label, state);
      }
      state.sum += value;
      state.count++;
      const index = bounds.findIndex((bound) => value <= bound);
      if (index >= 0) state.buckets[index] = (state.buckets[index] ?? 0) + 1;
    },
  };
}

function register(
  registry: Registry,
  name: string,
  help: string,
  type: string,
  labelNames: readonly string[],
  values: () => Sample[],
): void {
  const facts = { name, help, type, labelNames, aggregator: 'sum' };
  // The registry asks a metric for its facts and its values, and nothing else.
  registry.registerMetric({ ...facts, get: async () => ({ ...facts, values: values() }) } as unknown as Metric);
}
