import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

/** Scenarios with real processes; each has the machine to itself, so they come one by one and after the unit tests. */
function realProcesses(name: string, include: string, ...setups: string[]): TestProjectInlineConfiguration {
  return {
    extends: true,
    test: {
      name,
      include: [include],
      globalSetup: [...setups, 'e2e/harness/setup.ts'],
      setupFiles: ['e2e/harness/worker.ts'],
      maxWorkers: 1,
      fileParallelism: false,
      sequence: { groupOrder: 1 },
      testTimeout: 30_000,
      hookTimeout: 60_000,
    },
  };
}

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
          include: ['src/**/*.test.ts', 'scripts/**/*.test.ts', 'e2e/{engine,harness,chaos}/**/*.test.ts'],
          // A unit test that waits longer than this waits for something that does not come.
          testTimeout: 10_000,
          hookTimeout: 10_000,
        },
      },
      realProcesses('smoke', 'e2e/scenarios/{smoke,chaos}.test.ts'),
      realProcesses('e2e', 'e2e/scenarios/**/*.test.ts'),
      realProcesses('ollama', 'e2e/ollama/**/*.test.ts', 'e2e/ollama/harness/setup.ts'),
    ],
  },
});
