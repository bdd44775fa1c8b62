import { describe, expect, test } from 'vitest';
import type { Mode } from '../../src/core/delivery/state.ts';
import { live } from './history.ts';
import { liveRestored } from './restored.ts';
import type { Mutant, Scenario } from './scenario.ts';
import { shrink, tell } from './shrink.ts';

/** Histories per mode: with those below 10,000 in all within the suite; `npm run simulate` lives a million. */
const HISTORIES = Number(process.env['SIMULATION_HISTORIES'] ?? 3_000);
const FIRST_SEED = Number(process.env['SIMULATION_SEED'] ?? 1);

/** The first history that fails, shrunk and told. */
function firstDeviation(
  scenario: Omit<Scenario, 'seed'>,
  histories: number,
  lived = live,
): string | undefined {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + histories; seed += 1) {
    if (lived({ ...scenario, seed }).deviations.length > 0) return tell(shrink({ ...scenario, seed }, lived));
  }
  return undefined;
}

describe('whatever the network, Exist and the power do, what the devices did stands in Exist or is visibly held', () => {
  test.each<Mode>(['strict', 'guarded', 'shared'])('in mode %s', { timeout: 120_000 }, (mode) => {
    expect(firstDeviation({ mode }, HISTORIES)).toBeUndefined();
  });
});

describe('where the card dies and an older copy is put back, nothing of its days is sent by itself, and all else once', () => {
  test.each<Mode>(['strict', 'guarded', 'shared'])('in mode %s', { timeout: 120_000 }, (mode) => {
    expect(firstDeviation({ mode }, HISTORIES / 6, liveRestored)).toBeUndefined();
  });

  test('which a copy that is trusted does not do', () => {
    const scenario = { mode: 'guarded', mutant: 'older-copy-trusted' } as const;
    expect(firstDeviation(scenario, 200, liveRestored)).toMatch(/lost|doubled/);
  });
});

/** An answer that is lost, and a request that is applied while its outcome rests. */
const WITHIN_SETTLE = {
  mode: 'shared',
  faults: ['lost', 'applied-lost', 'late'],
  latestMs: 60_000,
  isExact: true,
} as const;

test('what is applied within `settle` is exact in mode shared too: nothing to report, nothing held', () => {
  expect(firstDeviation(WITHIN_SETTLE, 700)).toBeUndefined();
});

test('where nothing goes wrong, no outcome is ever in doubt', () => {
  expect(firstDeviation({ mode: 'guarded', faults: [] }, 400)).toBeUndefined();
});

describe('the simulation notices a delivery that', () => {
  const mutants: readonly [string, Mutant, Omit<Scenario, 'seed'>][] = [
    ['makes a call before its intent is on disk', 'no-write-ahead', { mode: 'guarded' }],
    ['sends an unknown outcome again on a guess', 'blind-retry', { mode: 'guarded' }],
    ['does not let an unknown outcome rest', 'no-settle', WITHIN_SETTLE],
    ['never looks again after the day is sent', 'no-audit', { mode: 'strict' }],
    ['does not judge what answers and looks show', 'no-judge', { mode: 'strict' }],
    [
      'puts two days of one name into a call whose answer does not tell them apart',
      'two-dates-of-one-name',
      { mode: 'guarded', faults: [] },
    ],
    ['sends an applied call again in mode shared', 'resend-applied', WITHIN_SETTLE],
    [
      'sends an applied call again in mode shared, whatever else happens',
      'resend-applied',
      { mode: 'shared' },
    ],
    ['holds every applied call of unknown outcome', 'hold-applied', { mode: 'guarded' }],
    ['corrects no value', 'values-uncorrected', { mode: 'strict' }],
    ['adopts a total away that the user set', 'set-adopted', { mode: 'guarded' }],
    ['adopts a total away that the user set in mode shared', 'set-adopted', { mode: 'shared' }],
  ];
  test.each(mutants)('%s', { timeout: 60_000 }, (_what, mutant, scenario) => {
    expect(firstDeviation({ ...scenario, mutant }, 2_000)).toMatch(/lost|doubled|held|in doubt/);
  });
});

test('a history that fails is shrunk to one of which nothing can be left out', () => {
  const scenario: Scenario = { seed: 0, mode: 'strict', mutant: 'no-judge' };
  let seed = 0;
  while (live({ ...scenario, seed }).deviations.length === 0) seed += 1;
  const whole = live({ ...scenario, seed });
  const { story, deviations } = shrink({ ...scenario, seed });
  expect(deviations[0]).toMatch(/lost|doubled/);
  expect(story.length).toBeLessThan(whole.story.length);
  const names = story.map(({ name }) => name);
  for (const left of names) {
    const only = new Set(names.filter((name) => name !== left));
    expect(live({ ...scenario, seed, only }).deviations).toEqual([]);
  }
});
