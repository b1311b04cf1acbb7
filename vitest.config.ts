// Three suites over one real Redis: `unit` is what `npm test` runs, `faults` breaks things on purpose and takes minutes,
// `conformance` holds every driver of limits against every limit and takes most of an hour.
import { defineConfig } from 'vitest/config';

// Where other work takes the cores away a command may time out. What fails three times is broken; what failed once says so in the
// report. A project inherits nothing from `test` below, so it stands in each.
const retry = process.env.CI ? 2 : 0;

const shared = {
  alias: { lanekeeper: new URL('./src/index.ts', import.meta.url).pathname },
};

export default defineConfig({
  test: {
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
