import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default', './test/closing-line-reporter.ts'],
    // Native addons and whole daemons.
    pool: 'forks',
    // What all files import is loaded once for each worker, which is a third of the time on two processors.
    isolate: false,
    // Tests of daemons mostly wait for them.
    maxWorkers: 4,
    // Twice what the slowest needs on a machine that is busy otherwise.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
