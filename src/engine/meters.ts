// Counters and histograms that cost an addition. prom-client sorts and hashes the labels at every call, 1 us each, and a job needs
// five; here the labels are looked up in nested maps, and the registry asks for the values when somebody scrapes.

import type { Metric, Registry } from 'prom-client';

export interface Meter {
  add(labels: readonly string[], by?: number): void;
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
  const counts = new Map<string, { labels: readonly string[]; count: number }>();
  register(registry, name, help, 'counter', () =>
    [...counts.values()].map(({ labels, count }) => ({
      labels: Object.fromEntries(labelNames.map((label, index) => [label, labels[index] ?? ''])),
      value: count,
    })),
  );
  return {
    add(labels, by = 1) {
      const key = labels.length === 1 ? (labels[0] as string) : labels.join('\n');
      const found = counts.get(key);
      if (found) found.count += by;
      else counts.set(key, { labels: [...labels], count: by });
    },
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
  register(registry, name, help, 'histogram', () => [...byLabel].flatMap(([label, state]) => toSamples(label, state)));

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

function register(registry: Registry, name: string, help: string, type: string, values: () => Sample[]): void {
  const metric = {
    name,
    help,
    type,
    aggregator: 'sum',
    get: async () => ({ name, help, type, values: values(), aggregator: 'sum' }),
  };
  // The registry asks a metric for its name and its values, and nothing else.
  registry.registerMetric(metric as unknown as Metric);
}
