// Two suites over one real Redis: `unit` is what `npm test` runs, `faults` is what breaks things on purpose and takes minutes.
import { defineConfig } from 'vitest/config';

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
          include: ['test/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        resolve: shared,
        test: {
          name: 'faults',
          include: ['test/faults/**/*.fault.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 300_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
