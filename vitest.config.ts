import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Machines of two cores are the smallest we support for development: more workers only fight over them.
    maxWorkers: 2,
    // A run that found no test is a broken run, not a green one.
    passWithNoTests: false,
    restoreMocks: true,
    unstubEnvs: true,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'scripts/**/*.test.ts'],
          // A unit test that waits longer than this waits for something that does not come.
          testTimeout: 10_000,
          hookTimeout: 10_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          // Real processes start, find each other and load models; each scenario has the machine to itself.
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
