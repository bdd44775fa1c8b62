import { describe, expect, test } from 'vitest';
import type { Mode } from '../../src/core/delivery/state.ts';
import { live, type Mutant, type Scenario } from './history.ts';

/** Histories per mode: 10,000 in all within the suite; `npm run simulate` lives a million. */
const HISTORIES = Number(process.env['SIMULATION_HISTORIES'] ?? 3_334);
const FIRST_SEED = Number(process.env['SIMULATION_SEED'] ?? 1);

function firstDeviation(scenario: Omit<Scenario, 'seed'>, histories: number): string | undefined {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + histories; seed += 1) {
    const [deviation] = live({ ...scenario, seed }).deviations;
    if (deviation !== undefined) return `seed ${seed}: ${deviation}`;
  }
  return undefined;
}

describe('whatever the network, Exist and the power do, what the devices did stands in Exist or is visibly held', () => {
  test.each<Mode>(['strict', 'guarded', 'shared'])('in mode %s', { timeout: 120_000 }, (mode) => {
    expect(firstDeviation({ mode }, HISTORIES)).toBeUndefined();
  });
});

describe('the simulation notices a delivery that', () => {
  const mutants: readonly [string, Mutant, Mode][] = [
    ['makes a call before its intent is on disk', 'no-write-ahead', 'guarded'],
    ['sends an unknown outcome again on a guess', 'blind-retry', 'guarded'],
    ['never looks again after the day is sent', 'no-audit', 'strict'],
    ['does not judge what answers and looks show', 'no-judge', 'strict'],
  ];
  test.each(mutants)('%s', { timeout: 60_000 }, (_what, mutant, mode) => {
    expect(firstDeviation({ mode, mutant }, 2_000)).toMatch(/lost|doubled/);
  });
});
