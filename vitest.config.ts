// Three suites over one real Redis: `unit` is what `npm test` runs, `faults` breaks things on purpose and takes minutes,
// `conformance` holds every driver of limits against every limit and takes most of an hour.
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

// Where other work takes the cores away a command may time out. What fails three times is broken; what failed once says so in the
// report. A project inherits nothing from `test` below, so it stands in each.
const retry = process.env.CI ? 2 : 0;

const shared = {
  alias: { lanekeeper: new URL('./src/index.ts', import.meta.url).pathname },
};

/**
 * The two short forms of the faults take a minute each and start dozens of processes: one begins first, for last it would run while
 * the other workers have nothing left to do, and one half way, when that is over.
 */
class FaultsApart extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const named = (name: string) => sorted.filter(({ moduleId }) => moduleId.endsWith(`/test/faults/${name}.test.ts`));
    const [first, second] = [named('short'), named('limits')];
    const others = sorted.filter((file) => !first.includes(file) && !second.includes(file));
    const half = Math.floor(others.length / 2);
    return [...first, ...others.slice(0, half), ...second, ...others.slice(half)];
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: FaultsApart },
    // More than cores, because most tests wait for processes and clocks: seven minutes one at a time, three so.
    maxWorkers: 3,
    projects: [
      {
        resolve: shared,
        test: {
          name: 'unit',
          retry,
          include: ['test/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      ...Object.entries({ faults: 'fault', conformance: 'conformance' }).map(([name, suffix]) => ({
        resolve: shared,
        test: {
          name,
          retry,
          include: [`test/faults/**/*.${suffix}.ts`],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 300_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      })),
    ],
  },
});
